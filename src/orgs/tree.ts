/**
 * From a source to the flat list of nodes that become Workspaces: read, checked whole, merged, laid out, named. Pure:
 * the same source and UID give the same list, and whatever is wrong is an OrgError before anything is written.
 */
import { createHash } from 'node:crypto'
import { warnOfSharedBots } from './channels.ts'
import { checkTemplate, isUnnamed, refuseBy } from './check.ts'
import { collectEnv, type EnvNeeds } from './env.ts'
import { Faults, TooManyFaults } from './faults.ts'
import { card, furthest, layOut, overlapping, type Card, type Point } from './layout.ts'
import type { NodeSpec } from './node-spec.ts'
import { OrgError, type OrgWarning, type OrgWarningCode } from './org-error.ts'
import { warnOfDanglingRoutes } from './routing.ts'
import { readSource, type OrgSource, type SourceRead } from './source.ts'
import { Walk, type Draft, type Visited } from './walk.ts'
import { Warnings } from './warnings.ts'

export type { OrgSource } from './source.ts'

export interface RenderOptions {
  /** metadata.uid of the import: all names follow from it. */
  readonly importUid: string
  /** Paths of nodes that are left out, with all below them. */
  readonly exclude?: readonly string[] | undefined
  /** Refuses a key that nothing reads and a file that is not there, instead of warning of it. */
  readonly strict?: boolean | undefined
  readonly leaf?: Card
}

/**
 * A node of the template with the defaults applied. `path` is the names from the root, joined by `/` (names.ts); `id`
 * what the template calls it for good, whatever its name and place; `name` the metadata.name of a new Workspace;
 * `files` paths below /configs to text, sorted; `plugins` the union without opt-outs. What is not in `spec` (channels
 * with their variables, plugins) is for others than the Workspace itself, or needs what only the import knows.
 */
export interface OrgNode extends Omit<Draft, 'spec'> {
  readonly spec: NodeSpec
}

export interface RenderedOrg {
  readonly name: string | undefined
  /** Parents before their children, in the order of the template. */
  readonly nodes: readonly OrgNode[]
  readonly env: EnvNeeds
  /** Parts that the nodes declare; fewer may be in `nodes`, with a warning for each. */
  readonly declared: { readonly schedules: number; readonly channels: number }
  readonly warnings: readonly OrgWarning[]
  /** Of nodes and env but the names: the same tree from another source, or for another import, has the same. */
  readonly digest: string
}

/** Throws nothing but OrgError, which tells the warnings, too. */
export function renderOrg(source: OrgSource, options: RenderOptions): RenderedOrg {
  const faults = new Faults()
  let warnings: Warnings | undefined
  try {
    const read = readSource(source, faults)
    warnings = new Warnings(read.placeOf)
    for (const { code, path, message } of read.warnings) warnings.add(code, path, message)
    const rendered = render(read, options, faults, warnings)
    if (rendered !== undefined && !faults.any) return rendered
  } catch (error) {
    if (error instanceof OrgError) faults.add(error)
    else if (!(error instanceof TooManyFaults)) throw error
  }
  const refused = faults.whole()
  refused.warnings = (warnings?.all() ?? []).flatMap(({ code, path, message }) =>
    ofParts.has(code) ? [] : [{ code, path: isUnnamed(path) ? '' : path, message }],
  )
  throw refused
}

/** What is said of names that are not in the template: they may be in what could not be read. */
const ofParts: ReadonlySet<OrgWarningCode> = new Set(['UnknownNode', 'DanglingRoute', 'IneffectiveOptOut'])

/** `faults` hold what is wrong; undefined when nothing could be made of the source for it. */
function render(
  { value, placeOf, parsed, needs, files }: SourceRead,
  options: RenderOptions,
  faults: Faults,
  warnings: Warnings,
): RenderedOrg | undefined {
  const [lacking] = needs
  // What else is wrong is mended first: nothing is fetched for a template that cannot be read.
  if (lacking !== undefined && !faults.any)
    throw new OrgError('ExternalMissing', `${lacking.askedAt}: ${lacking.url} at ${lacking.ref.name} was not brought`)
  const refuse = refuseBy(placeOf)
  const { importUid, strict = false } = options
  const template = checkTemplate(value, faults, refuse, warnings, strict)
  if (template === undefined) return undefined
  const exclude = new Set(options.exclude)
  const attempt: Faults['attempt'] = (act, instead) => faults.attempt(act, instead)
  const walk = new Walk({ template, importUid, exclude, files, parsed, strict, refuse, attempt, warnings })
  const roots = walk.roots()
  const nodes = place(walk.visited, roots, options.leaf ?? card, warnings)
  warnOfDanglingRoutes(template, walk.visited, warnings)
  warnOfSharedBots(nodes, warnings)
  const env = collectEnv(walk.asks)
  const count = (part: 'schedules' | 'channels') =>
    walk.visited.reduce((sum, { node }) => sum + (node[part]?.length ?? 0), 0)
  const declared = { schedules: count('schedules'), channels: count('channels') }
  return { name: template.name, nodes, env, declared, warnings: warnings.all(), digest: digestOf(nodes, env) }
}

function place(visited: readonly Visited[], roots: readonly Visited[], leaf: Card, warnings: Warnings): OrgNode[] {
  for (const [below, above] of overlapping(roots, leaf))
    warnings.add('OverlappingRoots', above.path, `its canvas puts it upon "${below.path}"`, [...above.place, 'canvas'])
  const places = layOut(roots, leaf)
  return visited.map((each) => {
    const canvas = within(places.get(each) ?? { x: 0, y: 0 })
    return { ...each.draft, spec: { ...each.draft.spec, canvas } }
  })
}

/** A tree can be wider than that, for each level may double it. */
const within = ({ x, y }: Point): Point => ({ x: clamp(x), y: clamp(y) })
const clamp = (value: number) => Math.max(-furthest, Math.min(furthest, value))

function digestOf(nodes: readonly OrgNode[], env: EnvNeeds): string {
  const hash = createHash('sha256')
  for (const { name: _, parentPath: __, files, ...told } of nodes) hash.update(JSON.stringify([told, ...files]))
  return hash.update(JSON.stringify(env)).digest('hex')
}
