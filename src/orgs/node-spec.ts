/** The part of a Workspace's spec that the template decides. */
import type { z } from 'zod'
import { workspaceSpec } from '../api/workspace.ts'
import { formatDuration, seconds } from '../duration.ts'
import type { OrgMemory, OrgNode as TemplateNode } from '../api/org-template.ts'
import { envNamePattern } from './env.ts'
import type { Point } from './layout.ts'
import { limits } from './limits.ts'
import { memoriesOf, type NodeMemory } from './memories.ts'
import type { Scope } from './scope.ts'
import { schedulesOf, type NodeSchedule } from './schedules.ts'
import { resolvePath } from './source-path.ts'
import { cut } from '../text.ts'

export interface NodeSpec {
  readonly displayName: string
  readonly role?: string
  readonly runtime?: string
  readonly template?: { readonly ref: string }
  readonly model?: string
  readonly tier?: number
  readonly backend?: 'external'
  readonly workspaceDir?: string
  readonly workspaceAccess?: 'read_only' | 'read_write'
  readonly maxConcurrentTasks?: number
  readonly idleInterval?: string
  readonly schedules?: readonly NodeSchedule[]
  readonly memories?: readonly NodeMemory[]
  readonly categoryRouting?: Readonly<Record<string, readonly string[]>>
  readonly canvas: Point
}

/** All but the canvas, which depends on the whole tree. */
export type PlainSpec = Omit<NodeSpec, 'canvas'>

/** `global`: memories that this node keeps for all. Throws an OrgError for what no Workspace may say. */
export function specOf(scope: Scope, global: readonly OrgMemory[]): PlainSpec {
  const { node, merged, at, refuse, attempt } = scope
  const { runtime, model, tier, categoryRouting } = merged
  const [role, template] = [roleOf(scope), attempt(() => templateOf(scope), undefined)]
  const [schedules, memories] = [schedulesOf(scope), memoriesOf(scope, global)]
  const [tasks, idle] = [node.max_concurrent_tasks ?? 0, idleInterval(scope)]
  const spec = {
    displayName: node.name,
    ...(role === '' ? {} : { role }),
    ...(runtime === undefined ? {} : { runtime }),
    ...(template === undefined ? {} : { template: { ref: template } }),
    ...(model === undefined ? {} : { model }),
    ...(tier === undefined ? {} : { tier }),
    ...(node.external === true ? { backend: 'external' as const } : {}),
    ...attempt(() => workspaceFolder(scope), {}),
    ...(tasks > 1 ? { maxConcurrentTasks: tasks } : {}),
    ...(idle === undefined ? {} : { idleInterval: idle }),
    ...(schedules.length === 0 ? {} : { schedules }),
    ...(memories.length === 0 ? {} : { memories }),
    ...(Object.keys(categoryRouting).length === 0 ? {} : { categoryRouting }),
  }
  const canvas = node.canvas && { x: node.canvas.x ?? 0, y: node.canvas.y ?? 0 }
  const checked = workspaceSpec.safeParse(canvas === undefined ? spec : { ...spec, canvas })
  for (const fault of checked.error?.issues ?? []) {
    const here = [...at, ...fault.path.map(templateKey)]
    attempt(() => refuse('InvalidField', here, faultText(fault, node.name)), undefined)
  }
  const bytes = Buffer.byteLength(JSON.stringify(spec))
  if (bytes > limits.specBytes)
    refuse('TooLarge', at, `its schedules and memories have ${bytes} bytes, more than ${limits.specBytes}`)
  return spec
}

/** Only where somebody is told something when idle. */
function idleInterval({ node, merged, at, path, warnings }: Scope): string | undefined {
  if (merged.idlePrompt !== undefined) return formatDuration(seconds(merged.idleIntervalSeconds))
  if ((node.idle_interval_seconds ?? 0) > 0)
    warnings.add('IneffectiveField', path, 'idle_interval_seconds without an idle prompt does nothing', [
      ...at,
      'idle_interval_seconds',
    ])
  return undefined
}

const longestRole = 1000

function roleOf({ node, at, path, warnings }: Scope): string {
  const characters = Array.from(node.role?.trim().replaceAll('\r\n', '\n') ?? '')
  if (characters.length <= longestRole) return characters.join('')
  warnings.add('RoleCut', path, `the role is cut to ${longestRole} characters`, [...at, 'role'])
  return `${characters.slice(0, longestRole - 1).join('')}…`
}

function templateOf({ node, at, refuse }: Scope): string | undefined {
  const template = node.template?.trim() ?? ''
  if (template === '') return undefined
  if (template.startsWith('/') || resolvePath('', template) === undefined)
    refuse('InvalidField', [...at, 'template'], `"${template}" leaves the folder of templates`)
  return template
}

/** A folder of the host that begins with a variable. */
export interface HostFolder {
  readonly variable: string
  /** What follows: "" or "/folder". */
  readonly rest: string
  readonly access: 'read_only' | 'read_write'
}

/** Of a node that mounts one; undefined for all others. */
export function hostFolderOf({ workspace_access: access, workspace_dir: dir = '', external }: TemplateNode) {
  const [, braced, bare, rest = ''] = /^\$(?:\{(\w+)\}|(\w+))(\/[^$]*)?$/.exec(dir.trim()) ?? []
  const variable = braced ?? bare
  if (access === undefined || access === 'none' || external === true || variable === undefined) return undefined
  return envNamePattern.test(variable) ? ({ variable, rest, access } satisfies HostFolder) : undefined
}

/** Without access the folder is never mounted; it is kept where it could be, for the day access is given. */
function workspaceFolder({
  node,
  at,
  path,
  refuse,
  warnings,
}: Scope): Pick<NodeSpec, 'workspaceDir' | 'workspaceAccess'> {
  const [access, folder] = [node.workspace_access ?? 'none', node.workspace_dir ?? '']
  const here = [...at, 'workspace_dir']
  if (access !== 'none') {
    // Known with the environment, and added then.
    if (hostFolderOf(node) !== undefined) return {}
    if (folder.includes('$'))
      refuse('InvalidField', here, `"${folder}": a variable stands at the beginning, as in \${A_NAME}/folder`)
    return { workspaceAccess: access, ...(folder === '' ? {} : { workspaceDir: folder }) }
  }
  if (folder === '') return {}
  const why = node.external === true ? 'an external agent has none' : 'workspace_access is none'
  warnings.add('IneffectiveWorkspaceDir', path, `workspace_dir "${folder}" is not mounted: ${why}`, here)
  return folder.includes('$') || node.external === true ? {} : { workspaceDir: folder }
}

/** Of a name, with the name: by that, people know the node. */
const faultText = ({ path, message }: z.core.$ZodIssue, name: string): string => {
  if (path[0] !== 'displayName') return message
  return name === '' ? 'every node has a name' : `"${cut(name, 100)}" ${message}`
}

/** The key of the template that became this field of the spec. */
const templateKey = (field: PropertyKey): PropertyKey => {
  if (typeof field !== 'string') return field
  return field === 'displayName' ? 'name' : field.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
}
