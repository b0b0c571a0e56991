/** From a plain value to a template: the schema of the language, with the place of whatever does not fit. */
import type { z } from 'zod'
import { oddities, orgTemplate, type OrgTemplate } from '../api/org-template.ts'
import { limits } from './limits.ts'
import { OrgError, type OrgErrorCode, type Path, type Place } from './org-error.ts'
import type { Warnings } from './warnings.ts'

/** What is wrong where. Says the path within the template beside file and line, when those are known. */
export type Refuse = (code: OrgErrorCode, path: Path, message: string) => never

export const refuseBy =
  (placeOf: (path: Path) => Place | undefined): Refuse =>
  (code, path, message) => {
    throw new OrgError(code, `${showPath(path)}: ${message}`, placeOf(path))
  }

/** `workspaces[0].children[2].tier` */
export const showPath = (path: Path): string =>
  path.length === 0
    ? 'the template'
    : path
        .map((step) => (typeof step === 'number' ? `[${step}]` : `.${String(step)}`))
        .join('')
        .replace(/^\./, '')

/** Throws an OrgError with the first fault, and how many more there are. `strict`: a key that nothing reads is one. */
export function checkTemplate(value: unknown, refuse: Refuse, warnings: Warnings, strict: boolean): OrgTemplate {
  if (value === undefined) return refuse('InvalidField', [], 'is empty')
  measureTree(value, refuse)
  const checked = orgTemplate.safeParse(value)
  if (!checked.success) {
    const [first, ...rest] = checked.error.issues
    const fault = first === undefined ? { path: [], message: 'does not fit' } : told(first)
    const more = rest.length === 0 ? '' : `; and ${rest.length} more`
    return refuse('InvalidField', fault.path, `${fault.message}${more}`)
  }
  for (const { kind, path } of oddities(value)) {
    const key = String(path.at(-1))
    const message =
      kind === 'UnknownKey'
        ? strangerText(key, path.length === 1)
        : `read as a boolean: write true or false, for to YAML 1.2 this is a text`
    if (strict && kind === 'UnknownKey') refuse('InvalidField', path, message)
    warnings.add(kind, showPath(path), message, path)
  }
  return checked.data
}

/** What people write who come from other descriptions of this language. */
const instead: Readonly<Record<string, string>> = {
  org_name: 'name',
  x: 'canvas: { x, y }',
  y: 'canvas: { x, y }',
  parent: 'children of the node above',
  secrets: 'spec.secretsFrom of the OrgImport',
  env: 'spec.env of the OrgImport',
  cron: 'cron_expr',
  llm: 'model',
  prompt_path: 'prompt_file',
}

function strangerText(key: string, top: boolean): string {
  const hint = Object.hasOwn(instead, key) && (key === 'org_name') === top ? `: say it by ${instead[key]}` : ''
  return `"${key}" is no key that anything reads${hint}`
}

/** Before the schema, which recurses: nobody should have to wait for ten thousand levels. */
function measureTree(value: unknown, refuse: Refuse) {
  let level: { nodes: unknown; path: Path }[] = [{ nodes: member(value, 'workspaces'), path: ['workspaces'] }]
  let total = 0
  for (let depth = 0; level.length > 0; depth++) {
    const below: typeof level = []
    for (const { nodes, path } of level) {
      if (!Array.isArray(nodes) || nodes.length === 0) continue
      total += nodes.length
      if (total > limits.nodes) refuse('TooLarge', path, `more than ${limits.nodes} nodes in all`)
      if (depth === limits.levels) refuse('DepthExceeded', path, `more than ${limits.levels} levels`)
      for (const [i, node] of nodes.entries())
        below.push({ nodes: member(node, 'children'), path: [...path, i, 'children'] })
    }
    level = below
  }
}

const member = (value: unknown, key: string): unknown =>
  typeof value === 'object' && value !== null ? Object.getOwnPropertyDescriptor(value, key)?.value : undefined

/** An issue of the schema in words; of a union, what the alternative that came furthest says. */
function told(issue: z.core.$ZodIssue): { path: Path; message: string } {
  if (issue.code === 'invalid_union' && issue.errors.length > 0) {
    const furthest = issue.errors.flat().toSorted((a, b) => b.path.length - a.path.length)[0]
    if (furthest !== undefined) {
      const inner = told(furthest)
      return { path: [...issue.path, ...inner.path], message: inner.message }
    }
  }
  const message = issue.message.replace(/^Invalid (input|option): /, '').replace(/^Too /, 'too ')
  if (issue.code !== 'invalid_type') return { path: issue.path, message }
  return { path: issue.path, message: `${message}${cureOf(issue.expected, message, issue.path)}` }
}

/** What to write instead, where one thing is meant often enough. */
function cureOf(expected: string, message: string, path: Path): string {
  const received = /received (\w+)$/.exec(message)?.[1] ?? ''
  const [key, list] = [path.at(-1), path.at(-2)]
  const ofNodes = (name: unknown) => name === 'workspaces' || name === 'children'
  if (received === 'undefined') return key === 'name' && ofNodes(path.at(-3)) ? ': every node has a name' : ''
  if (expected === 'array' && ofNodes(key)) return ': nodes are a list, each behind a dash'
  if (received === 'array' && ofNodes(list)) return ': a list is included without a dash before it'
  if (expected === 'boolean' && received === 'string') return ': write true or false'
  return expected === 'string' && (received === 'number' || received === 'boolean') ? ': quote it' : ''
}
