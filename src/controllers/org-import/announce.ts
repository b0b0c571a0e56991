/** What an import tells people of as it happens: an event each, of many nodes one. */
import { keyOf } from '../../api/meta.ts'
import type { OrgImport } from '../../api/org-import.ts'
import type { Workspace } from '../../api/workspace.ts'
import type { Context } from '../../kube/reconciler.ts'
import { provlog } from '../../telemetry/provlog.ts'
import type { Deed, Done } from './apply.ts'
import type { Obstacle } from './obstacle.ts'
import type { Plan } from './plan.ts'
import { pathOf } from './match.ts'
import { nextRuns, shownRun } from './next-runs.ts'
import type { SourceRead } from './source-read.ts'
import { listed } from './words.ts'

interface News {
  readonly done: readonly Done[]
  readonly pruned: readonly string[]
  readonly plan: Plan
  /** The Workspace of that name, as it is now. */
  readonly live: (name: string) => Workspace | undefined
  /** The first pass that acts on this generation of the import: what exists is told of once. */
  readonly first: boolean
}

export function announce(
  org: OrgImport,
  { done, pruned, plan, live, first }: News,
  ctx: Pick<Context, 'event' | 'log' | 'reconcileId'>,
): void {
  const of = (...deeds: Deed[]) => done.filter(({ deed }) => deeds.includes(deed)).map(({ path }) => path)
  const [created, updated, adopted] = [of('Created'), of('Updated', 'Renamed', 'Moved'), of('Adopted')]
  if (created.length + updated.length + adopted.length > 0)
    ctx.event('Normal', 'Imported', `${created.length} created, ${updated.length} updated, ${adopted.length} adopted`)
  if (created.length > 0) ctx.event('Normal', 'NodeCreated', listed(created, ', '))
  if (adopted.length > 0) ctx.event('Normal', 'NodeAdopted', listed(adopted, ', '))
  const touched = new Set([...created, ...updated, ...adopted])
  const nodes = plan.actions.flatMap(({ child: { path, node } }) => (touched.has(path) ? [node] : []))
  const runs = nextRuns(nodes, new Date())
  if (runs.length > 0) ctx.event('Normal', 'Scheduled', listed(runs.map(shownRun), ', '))
  for (const { deed, name, existed } of done)
    if (deed === 'Adopted' || (first && existed && deed !== 'Failed'))
      provlog(ctx.log, 'provision.skip_existing', {
        ...existing(live(name), live),
        import: keyOf(org),
        reconcile_id: ctx.reconcileId,
      })
  if (pruned.length > 0) ctx.event('Normal', 'Pruned', listed(pruned, ', '))
  const orphans = plan.departures.filter(({ kind }) => kind === 'orphan')
  if (orphans.length > (org.status?.counts?.orphaned ?? 0))
    ctx.event(
      'Normal',
      'OrphanKept',
      listed(
        orphans.map(({ live }) => pathOf(live) ?? live.metadata.name),
        ', ',
      ),
    )
  const failed = done.find(({ deed }) => deed === 'Failed')
  if (failed !== undefined) ctx.event('Warning', 'ApplyFailed', `${failed.path}: ${failed.message ?? ''}`)
}

function existing(found: Workspace | undefined, live: News['live']) {
  const rowOf = (workspace: Workspace | undefined) => workspace?.status?.workspaceID ?? workspace?.metadata.uid ?? ''
  const parent = found?.spec.parentRef === undefined ? undefined : live(found.spec.parentRef.name)
  return {
    workspace_id: rowOf(found),
    name: found?.spec.displayName ?? found?.metadata.name ?? '',
    existing_id: rowOf(found),
    parent_id: parent === undefined ? null : rowOf(parent),
    ...(found?.status?.tier !== undefined && { tier: found.status.tier }),
  }
}

/** Of the environment; whatever else stops a pass is told by the machine. Once, not once a pass. */
export function announceObstacle(org: OrgImport, obstacle: Obstacle, ctx: Pick<Context, 'event'>): void {
  if (obstacle.condition !== 'EnvironmentReady' || obstacle.waits) return
  const told = org.status?.conditions?.find(({ type }) => type === 'EnvironmentReady')
  if (told?.status === 'False' && told.message === obstacle.message) return
  ctx.event('Warning', 'PreflightFailed', obstacle.message)
}

/**
 * Tells of tags of other repositories that point at another commit than the status says. Each move is told once: a pass that
 * ends without a write leaves the earlier commit in the status, so the next pass meets the same move again.
 */
export class MovedTags {
  /** By the uid of the import: the moves that were told last. */
  readonly #told = new Map<string, string>()

  tell(org: OrgImport, externals: SourceRead['externals'], ctx: Pick<Context, 'event'>): void {
    const before = commitsOf(org.status?.source?.externals ?? [])
    const moves = [...commitsOf(externals ?? [])].flatMap(([tag, commit]) => {
      const old = before.get(tag)
      return old === undefined || old === commit ? [] : [`${tag} was sha1:${old} and is sha1:${commit}`]
    })
    const { uid } = org.metadata
    if (moves.length === 0) return this.forget(uid)
    const news = moves.join('; ')
    if (this.#told.get(uid) === news) return
    this.#told.set(uid, news)
    ctx.event('Warning', 'TagMoved', listed(moves))
  }

  forget(uid: string): void {
    this.#told.delete(uid)
  }
}

/** `https://git.example/org/teams v1.0.0` to the commit, of SourceRead.externals; what is named by its commit is left out. */
const commitsOf = (externals: readonly string[]): ReadonlyMap<string, string> =>
  new Map(
    externals.flatMap((each): [string, string][] => {
      const [, tag, commit] = /^(\S+ \S+)@sha1:([0-9a-f]{40})$/.exec(each) ?? []
      return tag === undefined || commit === undefined ? [] : [[tag, commit]]
    }),
  )
