/** What callers send, read strictly: the fields we know are checked, the ones we do not know are let be. */
import { z } from 'zod'
import { redactor } from '../redaction.ts'
import { type WorkspaceId, workspaceId } from '../store/workspace-store.ts'
import { cut, oneLine } from '../text.ts'
import { Refusal } from './refusal.ts'

/** Deeper JSON is refused: it is no agent card and no message, and recursion over it would end the process. */
export const maxDepth = 64

/** Any UUID: the API server's own, or one that was adopted. */
export const id = z.guid().transform((uuid): WorkspaceId => workspaceId(uuid.toLowerCase()))

/** Tokens of ours are known by their shape; what else an agent was given is known to its controller alone. */
const redact = redactor([])

/** One line as it may be shown anywhere, cut to `max` code units. */
export const line = (max: number) =>
  z
    .string()
    .nullish()
    .transform((given) => cut(oneLine(redact(given ?? '')), max))

/** A number brought into the range; absent or null is `min`. */
export const clamped = (min: number, max: number) =>
  z
    .number()
    .nullish()
    .transform((given) => Math.min(max, Math.max(min, given ?? min)))

const storable = (given: string): string => given.toWellFormed().replaceAll('\0', '')

/** A JSON object as jsonb can hold it. */
export const jsonObject = z.record(z.string(), z.unknown()).transform((given) => clean(given, 0))

function clean(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return storable(value)
  if (typeof value !== 'object' || value === null) return value
  if (depth >= maxDepth) throw new Refusal(400, 'too_deep', `the body is nested deeper than ${maxDepth} levels`)
  if (Array.isArray(value)) return value.map((item) => clean(item, depth + 1))
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [storable(key), clean(item, depth + 1)]))
}

/** Reads a body or path by its schema; a 400 names the field and what is wrong, never what was sent. */
export function parse<S extends z.ZodType>(schema: S, given: unknown): z.output<S> {
  const read = schema.safeParse(given)
  if (read.success) return read.data
  const issue = read.error.issues[0]
  const field = issue?.path.map(String).join('.') ?? ''
  throw new Refusal(400, 'invalid_body', field === '' ? 'the body is not a JSON object' : `${field}: ${issue?.message}`)
}

/** The workspace named in the path. One that is no UUID is none of ours. */
export function pathId(params: unknown): WorkspaceId {
  const read = z.object({ id }).safeParse(params)
  if (read.success) return read.data.id
  throw new Refusal(404, 'workspace_not_found', 'there is no such workspace')
}
