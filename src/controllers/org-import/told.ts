/** The parts of a status that every end of a pass has in common. Pure. */
import type { OrgImport, OrgImportStatus } from '../../api/org-import.ts'
import type { ConditionDraft, StatusDraft } from '../../kube/reconciler.ts'
import type { RenderedOrg } from '../../orgs/tree.ts'
import { cut, plural } from '../../text.ts'
import type { Environment } from './environment.ts'
import type { SourceRead } from './source-read.ts'
import { condition } from './words.ts'

/** Something odd, in the template or in the tree. */
export interface Oddity {
  readonly code: string
  /** A node, or a place in the source; empty for the whole. */
  readonly path: string
  readonly message: string
}

export type Draft = StatusDraft<OrgImportStatus>

/** What a pass learned on its way, as far as it came. */
export interface Learned {
  readonly org: OrgImport
  readonly source?: SourceRead
  readonly rendered?: RenderedOrg
  readonly environment?: Environment
}

/** The conditions of the steps that were passed. */
export function steps({ source, rendered, environment }: Learned): ConditionDraft[] {
  return [
    ...(source ? [condition('SourceReady', true, 'SourceRead', readAt(source))] : []),
    ...(rendered ? [condition('TemplateParsed', true, 'Parsed', plural(rendered.nodes.length, 'node'))] : []),
    ...(environment
      ? [condition('EnvironmentReady', true, 'EnvironmentComplete', 'every required variable is there')]
      : []),
  ]
}

/** What was read stays good while nothing newer can be seen. */
const readAt = ({ revision, trouble }: SourceRead): string =>
  `read at ${revision}${trouble === undefined ? '' : `; looking for something newer fails: ${trouble}`}`

const mostWarnings = 50
/** Kinds of what is lost, the worst first. */
const losses: readonly string[] = [
  'PluginsSkipped',
  'ChannelSkipped',
  'SharedChannelToken',
  'ScheduleSkipped',
  'MemorySkipped',
  'PluginConfigSkipped',
  'FileMissing',
  'FileSkipped',
]

/** By kind, what is lost before the rest; each kind and each warning in the order in which they came. */
function grouped(odd: readonly Oddity[]): Oddity[] {
  const kinds = new Map<string, Oddity[]>(losses.map((code) => [code, []]))
  for (const each of odd) {
    const kind = kinds.get(each.code)
    if (kind === undefined) kinds.set(each.code, [each])
    else kind.push(each)
  }
  return [...kinds.values()].flat()
}

/** As many as a status holds; the last one says how many of which kinds are not among them. */
function shortened(odd: readonly Oddity[]): readonly Oddity[] {
  if (odd.length <= mostWarnings) return odd
  const left = odd.slice(mostWarnings - 1)
  const kinds = [...new Set(left.map(({ code }) => code))].map(
    (kind) => `${left.filter(({ code }) => code === kind).length} ${kind}`,
  )
  return [
    ...odd.slice(0, mostWarnings - 1),
    { code: 'More', path: '', message: `and ${left.length} more: ${kinds.join(', ')}` },
  ]
}

/** For `status.warnings`. */
export const shownWarnings = (odd: readonly Oddity[]): NonNullable<Draft['warnings']> =>
  shortened(grouped(odd)).map(({ code, path, message }) => {
    const warning = { code, message: cut(message, 1024) }
    return path === '' ? warning : Object.assign(warning, { path: cut(path, 2048) })
  })

/** What the status says of the template itself, and of what was odd on the way. */
export function told({ source, rendered, environment }: Learned, more: readonly Oddity[] = []): Partial<Draft> {
  const missing = (environment?.missingRecommended ?? []).slice(0, 256).map((each) => cut(each, 1024))
  return {
    ...(source && {
      source: {
        revision: source.revision,
        ...(rendered && { digest: rendered.digest }),
        ...(source.externals && { externals: [...source.externals] }),
      },
    }),
    ...(rendered && {
      warnings: shownWarnings([...rendered.warnings, ...(environment?.warnings ?? []), ...more]),
    }),
    ...(environment && { env: { ...(missing.length > 0 && { missingRecommended: missing }) } }),
  }
}

/** What earlier passes applied is still true when this one could not begin. */
export function kept({ status }: OrgImport): Partial<Draft> {
  const { counts, schedules, channels, nodes, plan, source, warnings } = status ?? {}
  return {
    ...(counts && { counts }),
    ...(schedules && { schedules }),
    ...(channels && { channels }),
    ...(nodes && { nodes }),
    ...(plan && { plan }),
    ...(source && { source }),
    ...(warnings && { warnings }),
  }
}
