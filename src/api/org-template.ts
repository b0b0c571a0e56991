/**
 * The org.yaml language: what a template may say, with the keys of the YAML. Lenient as the language always was: a key
 * that is not known here is dropped, and `oddities` names it, so that a typing error does not vanish unseen. A null
 * counts as absent, as an empty YAML value always did. What has the right shape and still cannot be used (a bad cron, a
 * channel without a token) is the renderer's to judge, part by part.
 */
import { z } from 'zod'

/** Optional, and null counts as absent. */
const maybe = <T extends z.ZodType>(schema: T) =>
  z
    .nullable(schema)
    .transform((value) => value ?? undefined)
    .optional()

/** The words that YAML 1.1 reads as true or false and YAML 1.2 as text. Templates are full of them. */
const yaml11: Readonly<Record<string, boolean>> = { y: true, yes: true, on: true, n: false, no: false, off: false }
const yaml11Boolean = (value: unknown): boolean | undefined =>
  typeof value === 'string' && Object.hasOwn(yaml11, value.toLowerCase()) ? yaml11[value.toLowerCase()] : undefined
const flag = z.preprocess((value) => yaml11Boolean(value) ?? value, z.boolean())

/** Trimmed, as the role is: a folded text (`>`) ends with a line break. */
const name = z.string().trim().max(255)
const prompt = z.string().max(100_000)
const path = z.string().max(1024)
const variable = z.string().max(128)
/** A name or an address, alone or with settings. */
const plugin = z.union([z.string().max(2048), z.object({ source: z.string().max(2048), config: maybe(z.unknown()) })])
const plugins = z.array(plugin).max(256)
const routing = z.record(z.string(), z.array(z.string().max(255)).max(32))

const memory = z.object({ content: maybe(z.string()), scope: maybe(z.string()) })
const memories = z.array(memory).max(64)
const schedule = z.object({
  name: maybe(z.string()),
  cron_expr: maybe(z.string()),
  timezone: maybe(z.string()),
  prompt: maybe(z.string()),
  prompt_file: maybe(path),
  enabled: maybe(flag),
})
const channel = z.object({
  type: maybe(z.string()),
  /** Ids of chats are numbers that nobody quotes. */
  config: maybe(z.record(z.string(), maybe(z.union([z.string(), z.number(), z.boolean()])))),
  allowed_users: maybe(z.array(z.union([z.string(), z.number()]))),
  enabled: maybe(flag),
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
  runtime: maybe(z.string().trim().max(100)),
  tier: maybe(z.int().min(0).max(4)),
  model: maybe(z.string().trim().max(100)),
  plugins: maybe(plugins),
  initial_prompt: maybe(prompt),
  initial_prompt_file: maybe(path),
  idle_prompt: maybe(prompt),
  idle_prompt_file: maybe(path),
  idle_interval_seconds: maybe(z.int().min(0).max(2_592_000)),
  category_routing: maybe(routing),
  initial_memories: maybe(memories),
}

const defaults = z.object(inheritable)

const leaf = z.object({
  ...inheritable,
  name,
  id: maybe(z.string().max(63)),
  role: maybe(z.string()),
  template: maybe(path),
  files_dir: maybe(path),
  system_prompt: maybe(prompt),
  workspace_dir: maybe(path),
  workspace_access: maybe(z.enum(['none', 'read_only', 'read_write'])),
  max_concurrent_tasks: maybe(z.int()),
  schedules: maybe(z.array(schedule).max(100)),
  channels: maybe(z.array(channel).max(32)),
  external: maybe(flag),
  url: maybe(z.string().max(2048)),
  canvas: maybe(canvas),
  spawning: maybe(flag),
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
  global_memories: maybe(memories),
  required_env: maybe(requirements),
  recommended_env: maybe(requirements),
})

export type OrgTemplate = z.output<typeof orgTemplate>
export type OrgDefaults = z.output<typeof defaults>
export type OrgMemory = z.output<typeof memory>
export type OrgSchedule = z.output<typeof schedule>
export type OrgChannel = z.output<typeof channel>
export type OrgPlugin = z.output<typeof plugin>
export type EnvRequirement = z.output<typeof requirement>

/** The keys of each kind of map, the flags among them, and the kinds of the maps below. */
interface Shape {
  readonly keys: readonly string[]
  readonly flags?: readonly string[]
  readonly below?: Readonly<Record<string, ShapeName>>
}
type ShapeName =
  'template' | 'defaults' | 'node' | 'plugin' | 'schedule' | 'channel' | 'memory' | 'requirement' | 'canvas'

const shapes: Readonly<Record<ShapeName, Shape>> = {
  template: {
    keys: Object.keys(orgTemplate.shape),
    below: {
      defaults: 'defaults',
      workspaces: 'node',
      global_memories: 'memory',
      required_env: 'requirement',
      recommended_env: 'requirement',
    },
  },
  defaults: { keys: Object.keys(defaults.shape), below: { plugins: 'plugin', initial_memories: 'memory' } },
  node: {
    keys: [...Object.keys(leaf.shape), 'children'],
    flags: ['external', 'spawning'],
    below: {
      children: 'node',
      plugins: 'plugin',
      schedules: 'schedule',
      channels: 'channel',
      initial_memories: 'memory',
      canvas: 'canvas',
      required_env: 'requirement',
      recommended_env: 'requirement',
    },
  },
  plugin: { keys: ['source', 'config'] },
  schedule: { keys: Object.keys(schedule.shape), flags: ['enabled'] },
  channel: { keys: Object.keys(channel.shape), flags: ['enabled'] },
  memory: { keys: Object.keys(memory.shape) },
  requirement: { keys: ['any_of'] },
  canvas: { keys: ['x', 'y', 'true'] },
}

export interface Oddity {
  /** A key that nothing reads; or a flag that only YAML 1.1 takes for one. */
  readonly kind: 'UnknownKey' | 'Yaml11Boolean'
  readonly path: readonly (string | number)[]
}

/** What `orgTemplate` takes and people should know of, in the order of the file. */
export function oddities(template: unknown): Oddity[] {
  const found: Oddity[] = []
  const look = (value: unknown, name: ShapeName, path: readonly (string | number)[]): void => {
    if (Array.isArray(value)) return value.forEach((each, i) => look(each, name, [...path, i]))
    if (typeof value !== 'object' || value === null) return
    const { keys, flags = [], below = {} } = shapes[name]
    for (const [key, inner] of Object.entries(value)) {
      const here = [...path, key]
      if (!keys.includes(key)) found.push({ kind: 'UnknownKey', path: here })
      if (flags.includes(key) && yaml11Boolean(inner) !== undefined) found.push({ kind: 'Yaml11Boolean', path: here })
      const next = Object.hasOwn(below, key) ? below[key] : undefined
      if (next !== undefined) look(inner, next, here)
    }
  }
  look(template, 'template', [])
  return found
}
