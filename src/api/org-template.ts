/**
 * The org.yaml language: what a template may say, with the keys of the YAML. Lenient as the language always was: a key
 * that is not known here is dropped, and `unknownKeys` names it, so that a typing error does not vanish unseen. A null
 * counts as absent, as an empty YAML value always did.
 */
import { z } from 'zod'

/** Optional, and null counts as absent. */
const maybe = <T extends z.ZodType>(schema: T) =>
  z
    .nullable(schema)
    .transform((value) => value ?? undefined)
    .optional()

const name = z.string().max(255)
const prompt = z.string().max(100_000)
const path = z.string().max(1024)
const variable = z.string().max(128)
const plugins = z.array(z.string().max(2048)).max(256)
const routing = z.record(z.string(), z.array(z.string().max(255)).max(32))

const memory = z.object({ content: z.string(), scope: maybe(z.string().max(32)) })
const schedule = z.object({
  name: maybe(z.string().max(128)),
  cron_expr: maybe(z.string().max(128)),
  timezone: maybe(z.string().max(64)),
  prompt: maybe(prompt),
  prompt_file: maybe(path),
  enabled: maybe(z.boolean()),
})
const channel = z.object({
  type: maybe(z.string().max(63)),
  config: maybe(z.record(z.string(), z.string())),
  allowed_users: maybe(z.array(z.string().max(128))),
  enabled: maybe(z.boolean()),
})
/** One variable, or a group of which any will do. */
const requirement = z.union([variable, z.object({ any_of: z.array(variable).min(1) })])
const requirements = z.array(requirement).max(128)

/**
 * Where a root is drawn. YAML 1.1, which kubectl speaks, reads a bare `y` as true: the inline template of an OrgImport
 * arrives with that key.
 */
const canvas = z
  .object({ x: maybe(z.number()), y: maybe(z.number()), true: maybe(z.number()) })
  .transform(({ x, y, true: misread }) => ({ x, y: y ?? misread }))

/** What a node and `defaults` have in common: a node wins where it says something. Tier 0 is "unset". */
const inheritable = {
  runtime: maybe(z.string().max(100)),
  tier: maybe(z.int().min(0).max(4)),
  model: maybe(z.string().max(100)),
  plugins: maybe(plugins),
  initial_prompt: maybe(prompt),
  initial_prompt_file: maybe(path),
  idle_prompt: maybe(prompt),
  idle_prompt_file: maybe(path),
  idle_interval_seconds: maybe(z.int().min(0)),
  category_routing: maybe(routing),
  initial_memories: maybe(z.array(memory)),
}

const defaults = z.object(inheritable)

const leaf = z.object({
  ...inheritable,
  name,
  role: maybe(z.string()),
  template: maybe(path),
  files_dir: maybe(path),
  system_prompt: maybe(prompt),
  workspace_dir: maybe(path),
  workspace_access: maybe(z.enum(['none', 'read_only', 'read_write'])),
  max_concurrent_tasks: maybe(z.int()),
  schedules: maybe(z.array(schedule).max(100)),
  channels: maybe(z.array(channel).max(32)),
  external: maybe(z.boolean()),
  url: maybe(z.string().max(2048)),
  canvas: maybe(canvas),
  spawning: maybe(z.boolean()),
  required_env: maybe(requirements),
  recommended_env: maybe(requirements),
})

export interface OrgNode extends z.output<typeof leaf> {
  children?: OrgNode[] | undefined
}
const node: z.ZodType<OrgNode> = leaf.extend({ children: maybe(z.array(z.lazy(() => node))) })

/** A whole template, after `!include`. Counts and depth of nodes are the importer's to bound. */
export const orgTemplate = z.object({
  name: maybe(z.string().max(255)),
  description: maybe(z.string()),
  template_schema_version: maybe(z.union([z.int(), z.string()])),
  defaults: maybe(defaults),
  workspaces: maybe(z.array(node)),
  global_memories: maybe(z.array(memory)),
  required_env: maybe(requirements),
  recommended_env: maybe(requirements),
})

export type OrgTemplate = z.output<typeof orgTemplate>
export type OrgDefaults = z.output<typeof defaults>
export type OrgMemory = z.output<typeof memory>
export type EnvRequirement = z.output<typeof requirement>

const known = {
  template: Object.keys(orgTemplate.shape),
  defaults: Object.keys(defaults.shape),
  node: [...Object.keys(leaf.shape), 'children'],
}

export interface UnknownKey {
  /** Where it stands: `workspaces[0].children[2].parent`. */
  readonly at: string
  readonly key: string
}

const entriesOf = (value: unknown): [string, unknown][] =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? Object.entries(value) : []

function strangers(value: unknown, names: readonly string[], at: string): UnknownKey[] {
  const dot = at === '' ? '' : `${at}.`
  return entriesOf(value).flatMap(([key]) => (names.includes(key) ? [] : [{ at: `${dot}${key}`, key }]))
}

/** The keys of a template that nothing reads, at the top, in `defaults` and in every node, in the order of the file. */
export function unknownKeys(template: unknown): UnknownKey[] {
  const below = (nodes: unknown, at: string): UnknownKey[] =>
    (Array.isArray(nodes) ? nodes : []).flatMap((each: unknown, index) => {
      const here = `${at}[${index}]`
      const children = entriesOf(each).find(([key]) => key === 'children')?.[1]
      return strangers(each, known.node, here).concat(below(children, `${here}.children`))
    })
  const top = Object.fromEntries(entriesOf(template))
  return [
    ...strangers(template, known.template, ''),
    ...strangers(top['defaults'], known.defaults, 'defaults'),
    ...below(top['workspaces'], 'workspaces'),
  ]
}
