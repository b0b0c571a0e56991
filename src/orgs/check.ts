/** From a plain value to a template: the schema of the language, with the place of whatever does not fit. */
import type { z } from 'zod'
import { oddities, orgTemplate, type OrgTemplate } from '../api/org-template.ts'
import { limits } from './limits.ts'
import { OrgError, type OrgErrorCode, type Path, type Place } from './org-error.ts'
import type { Faults } from './faults.ts'
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

/**
 * The template as far as it fits the schema; undefined when nothing of it does. `faults` hold what does not: it is taken out
 * of the value, so that what is judged later is judged in the same round. `strict`: a key that nothing reads does not fit.
 */
export function checkTemplate(
  value: unknown,
  faults: Faults,
  refuse: Refuse,
  warnings: Warnings,
  strict: boolean,
): OrgTemplate | undefined {
  const fault = (path: Path, message: string) => faults.attempt(() => refuse('InvalidField', path, message), undefined)
  if (value === undefined) {
    // What could not be read at all is told already.
    if (!faults.any) fault([], 'is empty')
    return undefined
  }
  measureTree(value, refuse)
  let checked = orgTemplate.safeParse(value)
  if (!checked.success) {
    for (const { path, message } of checked.error.issues.map(told)) fault(path, message)
    checked = orgTemplate.safeParse(without(value, checked.error.issues))
  }
  for (const { kind, path } of oddities(value)) {
    const key = String(path.at(-1))
    const message =
      kind === 'UnknownKey'
        ? strangerText(key, path.length === 1)
        : `read as a boolean: write true or false, for to YAML 1.2 this is a text`
    if (strict && kind === 'UnknownKey') fault(path, message)
    else warnings.add(kind, showPath(path), message, path)
  }
  return checked.data
}

/** As many values are taken out; what is left to be told then is told in a second round. */
const mostTakenOut = 1000

/** A copy in which each value that an issue is about is absent; an absent name is replaced, or its node would be lost. */
function without(value: unknown, issues: readonly z.core.$ZodIssue[]): unknown {
  const copy: unknown = structuredClone(value)
  for (const [i, issue] of issues.slice(0, mostTakenOut).entries()) {
    const { path, expected } = told(issue)
    const [last, holder] = [path.at(-1), path.slice(0, -1).reduce(member, copy)]
    if (last === undefined || typeof holder !== 'object' || holder === null) continue
    if (Array.isArray(holder)) holder[Number(last)] = filler(path.at(-2), expected, holder[Number(last)], i)
    else if (last === 'name' && typeof path.at(-2) === 'number' && ofNodes(path.at(-3)))
      Reflect.set(holder, last, unnamed(i))
    else Reflect.deleteProperty(holder, last)
  }
  return copy
}

/** An element that fits in its list, so that those beside it stay where they are. */
function filler(list: PropertyKey | undefined, expected: string, given: unknown, i: number): unknown {
  if (ofNodes(list)) return { name: unnamed(i) }
  if (list === 'required_env' || list === 'recommended_env') return 'A'
  return expected === 'string' || typeof given === 'string' ? '' : {}
}

const ofNodes = (key: unknown) => key === 'workspaces' || key === 'children'
/** Unique among its siblings, and never shown. */
const unnamed = (i: number) => `unnamed ${i}`
/** Whether the path of a node has a name in it that stands for one that did not fit. */
export const isUnnamed = (path: string): boolean => /(^|\/)unnamed \d+(\/|$)/.test(path)

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
  required_env: 'required_env at the top, or of a node',
  recommended_env: 'recommended_env at the top, or of a node',
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

const member = (value: unknown, key: PropertyKey): unknown =>
  typeof value === 'object' && value !== null ? Object.getOwnPropertyDescriptor(value, key)?.value : undefined

/** An issue of the schema in words; of a union, what the alternative that came furthest says. */
function told(issue: z.core.$ZodIssue): { path: Path; message: string; expected: string } {
  if (issue.code === 'invalid_union' && issue.errors.length > 0) {
    const furthest = issue.errors.flat().toSorted((a, b) => b.path.length - a.path.length)[0]
    if (furthest !== undefined) {
      const inner = told(furthest)
      return { ...inner, path: [...issue.path, ...inner.path] }
    }
  }
  const message = issue.message.replace(/^Invalid (input|option): /, '').replace(/^Too /, 'too ')
  if (issue.code !== 'invalid_type') return { path: issue.path, message, expected: '' }
  const { path, expected } = issue
  return { path, message: `${message}${cureOf(expected, message, path)}`, expected }
}

/** What to write instead, where one thing is meant often enough. */
function cureOf(expected: string, message: string, path: Path): string {
  const received = /received (\w+)$/.exec(message)?.[1] ?? ''
  const [key, list] = [path.at(-1), path.at(-2)]
  if (received === 'undefined') return key === 'name' && ofNodes(path.at(-3)) ? ': every node has a name' : ''
  if (expected === 'array' && ofNodes(key)) return ': nodes are a list, each behind a dash'
  if (received === 'array' && ofNodes(list)) return ': a list is included without a dash before it'
  if (expected === 'boolean' && received === 'string') return ': write true or false'
  return expected === 'string' && (received === 'number' || received === 'boolean') ? ': quote it' : ''
}
