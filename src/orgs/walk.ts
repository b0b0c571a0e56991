/** Down the tree, parents first: every node judged, merged and named. */
import type { EnvRequirement, OrgNode as TemplateNode, OrgTemplate } from '../api/org-template.ts'
import { channelsOf, type NodeChannel } from './channels.ts'
import { isUnnamed, type Refuse } from './check.ts'
import { envNamePattern, namesOf, type EnvAsk } from './env.ts'
import type { Faults } from './faults.ts'
import type { FileTree } from './file-tree.ts'
import type { Box, Point } from './layout.ts'
import { limits } from './limits.ts'
import { effective } from './merge.ts'
import { nodePath, ownedName } from './names.ts'
import { bytesOf, filesOf, roleFolder } from './node-files.ts'
import { hostFolderOf, specOf, type HostFolder, type PlainSpec } from './node-spec.ts'
import type { OrgErrorCode, OrgWarningCode, Path } from './org-error.ts'
import { mergePlugins } from './plugins.ts'
import type { Scope } from './scope.ts'
import type { Warnings } from './warnings.ts'

/** A node before it is placed. */
export interface Draft {
  readonly path: string
  readonly parentPath: string | undefined
  readonly id: string | undefined
  readonly name: string
  readonly spec: PlainSpec
  readonly files: ReadonlyMap<string, string>
  readonly plugins: readonly string[]
  readonly channels: readonly NodeChannel[]
  /** `spec.workspaceDir` where a variable gives it: the spec has neither that nor the access. */
  readonly hostFolder?: HostFolder
}

/** A node that was not left out, and where it stands. */
export interface Visited extends Box {
  readonly node: TemplateNode
  /** In the template. */
  readonly place: Path
  readonly path: string
  readonly draft: Draft
  readonly at: Point | undefined
  readonly children: readonly Visited[]
}

export interface WalkInputs {
  readonly template: OrgTemplate
  readonly importUid: string
  readonly exclude: ReadonlySet<string>
  readonly files: FileTree
  readonly parsed: ReadonlySet<string>
  readonly strict: boolean
  readonly refuse: Refuse
  readonly attempt: Faults['attempt']
  readonly warnings: Warnings
}

export class Walk {
  readonly asks: EnvAsk[] = []
  /** Parents before their children. */
  readonly visited: Visited[] = []
  readonly #inputs: WalkInputs
  readonly #names = new Set<string>()
  readonly #ids = new Map<string, string>()
  readonly #excluded = new Set<string>()
  readonly #undelivered = new Set<string>()
  #bytes = 0
  #schedules = 0
  #isFirst = true

  constructor(inputs: WalkInputs) {
    this.#inputs = inputs
  }

  roots(): readonly Visited[] {
    const { template, exclude, warnings } = this.#inputs
    this.#ask(undefined, template, [])
    const roots = this.#siblings(template.workspaces ?? [], ['workspaces'], undefined)
    const [first] = this.#undelivered
    if (first !== undefined) {
      const rest = this.#undelivered.size - 1
      const what = `${first}${rest > 0 ? ` and ${rest} more` : ''}`
      warnings.add(
        'FileSkipped',
        '',
        `YAML that is read by !include is not delivered with the folder it is in: ${what}`,
      )
    }
    for (const path of exclude)
      if (!this.#excluded.has(path)) warnings.add('UnknownNode', path, 'spec.exclude names no node of the template')
    return roots
  }

  #siblings(nodes: readonly TemplateNode[], at: Path, parent: string | undefined): Visited[] {
    const seen = new Set<string>()
    return nodes.flatMap((node, i) => {
      const here = [...at, i]
      const path = nodePath(parent, node.name)
      if (node.spawning === false) return []
      if (this.#inputs.exclude.has(path)) {
        this.#excluded.add(path)
        return []
      }
      // Two ways to write one letter look the same to people.
      const name = node.name.normalize('NFC')
      if (seen.has(name)) {
        const message = `"${node.name}" stands twice among its siblings`
        this.#note('DuplicateSibling', [...here, 'name'], message)
      }
      seen.add(name)
      return [this.#node(node, here, path, parent)]
    })
  }

  #node(node: TemplateNode, at: Path, path: string, parentPath: string | undefined): Visited {
    const { files, parsed, strict, refuse, attempt, warnings, template } = this.#inputs
    const merged = effective(node, template.defaults ?? {})
    this.#ask(path, node, at)
    this.#schedules += node.schedules?.length ?? 0
    if (this.#schedules > limits.schedules)
      refuse('TooLarge', [...at, 'schedules'], `more than ${limits.schedules} schedules in all`)
    const folder = attempt(() => roleFolder(node, at, refuse), undefined)
    const undelivered = this.#undelivered
    const read = { folder, files, parsed, undelivered, strict }
    const scope: Scope = { node, merged, at, path, ...read, refuse, attempt, warnings }
    const global = this.#isFirst ? (template.global_memories ?? []) : []
    this.#isFirst = false
    const hostFolder = hostFolderOf(node)
    const draft: Draft = {
      path,
      parentPath,
      id: this.#id(scope),
      name: this.#name(path, node.name),
      spec: specOf(scope, global),
      files: filesOf(scope),
      plugins: this.#plugins(scope),
      channels: channelsOf(scope),
      ...(hostFolder !== undefined && { hostFolder }),
    }
    attempt(() => judgeUrl(scope), undefined)
    this.#weigh(draft, at)
    if (parentPath !== undefined && node.canvas !== undefined)
      warnings.add('IgnoredCanvas', path, 'canvas is of roots only: below them there is a grid', [...at, 'canvas'])
    const corner =
      parentPath === undefined && node.canvas ? { x: node.canvas.x ?? 0, y: node.canvas.y ?? 0 } : undefined
    const children: Visited[] = []
    const visited = { node, place: at, path, draft, at: corner, children }
    this.visited.push(visited)
    children.push(...this.#siblings(node.children ?? [], [...at, 'children'], path))
    return visited
  }

  #note(code: OrgErrorCode, at: Path, message: string): void {
    const { attempt, refuse } = this.#inputs
    attempt(() => refuse(code, at, message), undefined)
  }

  #plugins({ node, at, path, refuse, attempt, warnings }: Scope): readonly string[] {
    const defaults = { entries: this.#inputs.template.defaults?.plugins ?? [], at: ['defaults', 'plugins'] }
    const warn = (code: OrgWarningCode, message: string, here: Path) =>
      warnings.add(code, here[0] === 'defaults' ? '' : path, message, here)
    return mergePlugins(
      defaults,
      { entries: node.plugins ?? [], at: [...at, 'plugins'] },
      {
        refuse,
        attempt,
        idle: (entry, here) => warn('IneffectiveOptOut', `"${entry}" takes nothing away`, here),
        unused: (plugin, config, here) => warn('PluginConfigSkipped', unusedText(plugin, config), here),
      },
    )
  }

  #weigh({ spec, files }: Draft, at: Path) {
    this.#bytes += bytesOf(files) + JSON.stringify(spec).length
    if (this.#bytes > limits.orgBytes)
      this.#inputs.refuse('TooLarge', at, `the tree has more than ${limits.orgBytes} bytes, files included`)
  }

  #ask(
    node: string | undefined,
    from: { required_env?: EnvRequirement[] | undefined; recommended_env?: EnvRequirement[] | undefined },
    at: Path,
  ) {
    const read = (key: 'required_env' | 'recommended_env') => {
      const list = from[key] ?? []
      for (const [i, requirement] of list.entries())
        for (const name of namesOf(requirement))
          if (!envNamePattern.test(name))
            this.#note('InvalidField', [...at, key, i], `"${name}" is no variable name: capitals, digits and "_"`)
      return list
    }
    this.asks.push({ node, required: read('required_env'), recommended: read('recommended_env') })
  }

  #id({ node, at, path }: Scope): string | undefined {
    const { id } = node
    if (id === undefined || id === '') return undefined
    const here = [...at, 'id']
    if (!/^[a-z0-9]+(-[a-z0-9]+)*$/.test(id))
      this.#note('InvalidField', here, `"${id}" is no id: small letters and digits, with single dashes between them`)
    const other = this.#ids.get(id)
    if (other !== undefined)
      this.#note(
        'DuplicateId',
        here,
        `"${id}" is the id of ${isUnnamed(other) ? 'another node' : `"${other}"`} already`,
      )
    this.#ids.set(id, path)
    return id
  }

  #name(path: string, displayName: string): string {
    let name = ownedName(this.#inputs.importUid, path, displayName)
    for (let again = 1; this.#names.has(name); again++)
      name = ownedName(this.#inputs.importUid, `${path}\n${again}`, displayName)
    this.#names.add(name)
    return name
  }
}

function unusedText(plugin: string, config: unknown): string {
  const schedules: unknown =
    typeof config === 'object' && config !== null ? Reflect.get(config, 'schedules') : undefined
  const hint =
    Array.isArray(schedules) && schedules.length > 0
      ? `, with ${schedules.length === 1 ? 'a schedule' : `${schedules.length} schedules`}: write schedules at the node`
      : ''
  return `the settings of plugin "${plugin}" are left out${hint}`
}

/** What no agent of somebody else is at. Addresses behind names are judged when they are connected to. */
const ownHost =
  /^(localhost|.*\.localhost|127\..*|0\..*|169\.254\..*|\[::1?\]|\[::ffff:.*\]|\[fe[89ab].*\]|metadata\..*)$/

/** Nothing follows from it, but what it says may still be a mistake. */
function judgeUrl({ node, at, path, refuse, warnings }: Scope): void {
  const given = node.url?.trim() ?? ''
  if (given === '') return
  const here = [...at, 'url']
  const url = URL.parse(given)
  if (node.external !== true) warnings.add('IneffectiveField', path, 'url is of external agents only', here)
  else if (url === null || !/^https?:$/.test(url.protocol)) refuse('InvalidField', here, 'is no http or https address')
  else if (url.username !== '' || url.password !== '') refuse('InvalidField', here, 'must not carry credentials')
  else if (ownHost.test(url.hostname.replace(/\.$/, '')))
    refuse('InvalidField', here, `${url.hostname} is no place for an agent`)
  else warnings.add('IneffectiveField', path, 'url is not used: an agent says its address when it registers', here)
}
