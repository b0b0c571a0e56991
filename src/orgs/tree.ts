/**
 * From a source to the flat list of nodes that become Workspaces: read, checked whole, merged, laid out, named. Pure:
 * the same source and UID give the same list, and whatever is wrong is an OrgError before anything is written.
 */
import { createHash } from 'node:crypto'
import type { EnvRequirement, OrgNode as TemplateNode, OrgTemplate } from '../api/org-template.ts'
import { workspaceSpec } from '../api/workspace.ts'
import { checkTemplate, refuseBy, type Path, type Refuse } from './check.ts'
import { collectEnv, envNamePattern, namesOf, type EnvAsk, type EnvNeeds } from './env.ts'
import { expand, type Expanded, type Sources } from './expand.ts'
import { card, layOut, type Box, type Card, type Point } from './layout.ts'
import { effective, type Effective } from './merge.ts'
import { nodePath, ownedName } from './names.ts'
import { filesOf } from './node-files.ts'
import type { OrgWarning } from './org-error.ts'
import { unsupportedIn, type Used } from './unsupported.ts'

export type OrgSource =
  /** A folder: paths and texts. */
  | { readonly kind: 'files'; readonly files: Sources; readonly entry: string }
  /** The template itself, already plain. */
  | { readonly kind: 'inline'; readonly template: unknown }

export interface RenderOptions {
  /** metadata.uid of the import: all names follow from it. */
  readonly importUid: string
  /** Paths of nodes that are left out, with all below them. */
  readonly exclude?: readonly string[] | undefined
  readonly leaf?: Card
}

/** The part of a Workspace's spec that the template decides. */
export interface NodeSpec {
  readonly displayName: string
  readonly role?: string
  readonly runtime?: string
  readonly model?: string
  readonly tier?: number
  readonly backend?: 'external'
  readonly workspaceDir?: string
  readonly workspaceAccess?: 'read_only' | 'read_write'
  readonly maxConcurrentTasks?: number
  readonly canvas: Point
}

export interface OrgNode {
  /** Names from the root, joined by `/` (names.ts). */
  readonly path: string
  readonly parentPath: string | undefined
  /** metadata.name of the Workspace. */
  readonly name: string
  readonly spec: NodeSpec
  /** Path below /configs to text, sorted. */
  readonly files: ReadonlyMap<string, string>
}

export interface RenderedOrg {
  readonly name: string | undefined
  /** Parents before their children, in the order of the template. */
  readonly nodes: readonly OrgNode[]
  readonly env: EnvNeeds
  readonly warnings: readonly OrgWarning[]
  /** Of all of the above but the names: the same tree from another source, or for another import, has the same. */
  readonly digest: string
}

/** Throws nothing but OrgError. */
export function renderOrg(source: OrgSource, options: RenderOptions): RenderedOrg {
  const { value, placeOf, parsed, warnings: read } = readSource(source)
  const { template, warnings: odd } = checkTemplate(value, placeOf)
  const sources = source.kind === 'files' ? source.files : new Map<string, string>()
  const walk = new Walk(template, options, sources, parsed, refuseBy(placeOf))
  const nodes = walk.nodes()
  const env = collectEnv(walk.asks)
  const warnings = [...read, ...odd, ...walk.warnings, ...unsupportedIn(template, walk.used)]
  return { name: template.name, nodes, env, warnings, digest: digestOf(nodes, env) }
}

const readSource = (source: OrgSource): Expanded =>
  source.kind === 'files'
    ? expand(source.files, source.entry)
    : { value: source.template, placeOf: () => undefined, warnings: [], parsed: new Set() }

interface Placed extends Box {
  readonly at: Point | undefined
  readonly children: readonly Placed[]
  readonly draft: Omit<OrgNode, 'spec'> & { readonly spec: Omit<NodeSpec, 'canvas'> }
}

class Walk {
  readonly warnings: OrgWarning[] = []
  readonly asks: EnvAsk[] = []
  /** The nodes that were not left out. */
  readonly used: Used[] = []
  readonly #template: OrgTemplate
  readonly #options: RenderOptions
  readonly #sources: Sources
  readonly #parsed: ReadonlySet<string>
  readonly #refuse: Refuse
  readonly #names = new Set<string>()
  readonly #excluded = new Set<string>()
  #strayCanvases = 0

  constructor(
    template: OrgTemplate,
    options: RenderOptions,
    sources: Sources,
    parsed: ReadonlySet<string>,
    refuse: Refuse,
  ) {
    this.#template = template
    this.#options = options
    this.#sources = sources
    this.#parsed = parsed
    this.#refuse = refuse
  }

  nodes(): OrgNode[] {
    this.#ask(undefined, this.#template, [])
    const roots = this.#siblings(this.#template.workspaces ?? [], ['workspaces'], undefined)
    const places = layOut(roots, this.#options.leaf ?? card)
    this.#warnOfStrays()
    const flat = (boxes: readonly Placed[]): OrgNode[] =>
      boxes.flatMap((box) => {
        const canvas = places.get(box) ?? { x: 0, y: 0 }
        return [{ ...box.draft, spec: { ...box.draft.spec, canvas } }, ...flat(box.children)]
      })
    return flat(roots)
  }

  #siblings(nodes: readonly TemplateNode[], at: Path, parent: string | undefined): Placed[] {
    const seen = new Set<string>()
    return nodes.flatMap((node, i) => {
      const here = [...at, i]
      const path = nodePath(parent, node.name)
      if (node.spawning === false) return []
      if (this.#options.exclude?.includes(path)) {
        this.#excluded.add(path)
        return []
      }
      if (seen.has(node.name))
        this.#refuse('DuplicateSibling', [...here, 'name'], `"${node.name}" stands twice among its siblings`)
      seen.add(node.name)
      return [this.#node(node, here, path, parent)]
    })
  }

  #node(node: TemplateNode, at: Path, path: string, parentPath: string | undefined): Placed {
    const merged = effective(node, this.#template.defaults ?? {})
    this.used.push({ node, merged })
    this.#ask(path, node, at)
    const { files, warnings } = filesOf({
      node,
      merged,
      path: at,
      nodePath: path,
      sources: this.#sources,
      parsed: this.#parsed,
      refuse: this.#refuse,
    })
    this.warnings.push(...warnings)
    const spec = this.#spec(node, merged, path, at)
    const draft = { path, parentPath, name: this.#name(path, node.name), spec, files }
    const children = this.#siblings(node.children ?? [], [...at, 'children'], path)
    if (parentPath !== undefined && node.canvas !== undefined) this.#strayCanvases++
    const root = parentPath === undefined && node.canvas !== undefined
    return { draft, children, at: root ? { x: node.canvas?.x ?? 0, y: node.canvas?.y ?? 0 } : undefined }
  }

  #spec(node: TemplateNode, merged: Effective, path: string, at: Path): Omit<NodeSpec, 'canvas'> {
    const { runtime, model, tier } = merged
    const role = this.#role(node.role?.trim() ?? '', path)
    const tasks = node.max_concurrent_tasks ?? 0
    const spec = {
      displayName: node.name,
      ...(role === '' ? {} : { role }),
      ...(runtime === undefined ? {} : { runtime }),
      ...(model === undefined ? {} : { model }),
      ...(tier === undefined ? {} : { tier }),
      ...(node.external === true ? { backend: 'external' as const } : {}),
      ...this.#folder(node, path),
      ...(tasks > 1 ? { maxConcurrentTasks: tasks } : {}),
    }
    const canvas = node.canvas && { x: node.canvas.x ?? 0, y: node.canvas.y ?? 0 }
    const checked = workspaceSpec.safeParse(canvas === undefined ? spec : { ...spec, canvas })
    const fault = checked.error?.issues[0]
    if (fault !== undefined) this.#refuse('InvalidField', [...at, ...fault.path.map(templateKey)], fault.message)
    return spec
  }

  #role(role: string, path: string): string {
    const characters = Array.from(role)
    if (characters.length <= longestRole) return role
    this.warnings.push({ code: 'RoleCut', path, message: `the role is cut to ${longestRole} characters` })
    return `${characters.slice(0, longestRole - 1).join('')}…`
  }

  /** Without access the folder is never mounted; it is kept where it could be, for the day access is given. */
  #folder(node: TemplateNode, path: string): Pick<NodeSpec, 'workspaceDir' | 'workspaceAccess'> {
    const access = node.workspace_access ?? 'none'
    if (access !== 'none')
      return { workspaceAccess: access, ...(node.workspace_dir ? { workspaceDir: node.workspace_dir } : {}) }
    if (node.workspace_dir === undefined || node.workspace_dir === '') return {}
    if (!node.workspace_dir.includes('$') && node.external !== true) return { workspaceDir: node.workspace_dir }
    const message = `workspace_dir "${node.workspace_dir}" has no effect and is left out`
    this.warnings.push({ code: 'IneffectiveWorkspaceDir', path, message })
    return {}
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
            this.#refuse('InvalidField', [...at, key, i], `"${name}" is no variable name: capitals, digits and "_"`)
      return list
    }
    this.asks.push({ node, required: read('required_env'), recommended: read('recommended_env') })
  }

  #name(path: string, displayName: string): string {
    let name = ownedName(this.#options.importUid, path, displayName)
    for (let again = 1; this.#names.has(name); again++)
      name = ownedName(this.#options.importUid, `${path}\n${again}`, displayName)
    this.#names.add(name)
    return name
  }

  #warnOfStrays() {
    if (this.#strayCanvases > 0)
      this.warnings.push({
        code: 'IneffectiveCanvas',
        path: '',
        message: `canvas is read of roots only: ${this.#strayCanvases} below them are laid out in a grid`,
      })
    for (const path of this.#options.exclude ?? [])
      if (!this.#excluded.has(path))
        this.warnings.push({ code: 'UnknownNode', path, message: 'spec.exclude names no node of the template' })
  }
}

const longestRole = 1000

/** The key of the template that became this field of the spec. */
const templateKey = (field: PropertyKey): PropertyKey =>
  field === 'displayName' ? 'name' : String(field).replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

function digestOf(nodes: readonly OrgNode[], env: EnvNeeds): string {
  const told = nodes.map(({ path, spec, files }) => ({ path, spec, files: [...files] }))
  return createHash('sha256')
    .update(JSON.stringify([told, env]))
    .digest('hex')
}
