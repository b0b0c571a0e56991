/** The part of every status that kstatus, Argo CD and Flux read, as a schema. The types are in meta.ts. */
import { z } from 'zod'
import { bounded, count, line, listBy, matching, atomic, time } from './fields.ts'

/** Without observedGeneration of its own: `status.observedGeneration` says it for all, and each property costs every write. */
const condition = z.object({
  type: matching('^[A-Za-z]([-A-Za-z0-9_.]*[A-Za-z0-9])?$', 128, 1).meta({
    description: 'What is judged: Ready, Stalled and so on.',
  }),
  status: z
    .enum(['True', 'False', 'Unknown'])
    .meta({ description: 'Whether it holds; Unknown when it cannot be told.' }),
  reason: matching('^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$', 1024, 1).meta({
    description: 'Why, as one CamelCase word that programs may compare.',
  }),
  message: bounded(32_768).meta({ description: 'Why, for people: what, where, for which input, and what to do.' }),
  lastTransitionTime: time('When status last changed.'),
})

const transition = z.object({
  time: time('When it happened.'),
  from: bounded(64).meta({ description: 'The state before.' }),
  to: bounded(64).meta({ description: 'The state after.' }),
  reason: bounded(128).meta({ description: 'Why, as one CamelCase word.' }),
  actor: bounded(64).meta({ description: 'Who caused it: user, operator, agent or backend.' }),
  reconcileId: bounded(64)
    .meta({ description: 'The pass that wrote it: the same as in log lines and on events.' })
    .exactOptional(),
})

/** A new object reads as "not looked at yet" (-1) from its birth on, so that nobody takes it for done. */
export const commonStatus = {
  observedGeneration: z.int().min(-1).default(-1).meta({
    description: 'metadata.generation that this status speaks of; -1 before the first pass.',
    format: 'int64',
  }),
  conditions: listBy(
    'type',
    condition,
    32,
    'Ready always; Reconciling, Stalled and Unsupported only while true; and one for each step of the work. All speak of status.observedGeneration.',
  ).exactOptional(),
  summary: line(1024).meta({ description: 'One line that says why things are as they are.' }).exactOptional(),
  history: atomic(transition, 10, 'The last ten changes of state, the newest last.').exactOptional(),
  lastHandledReconcileAt: bounded(256)
    .meta({ description: 'The value of the annotation molecule.dev/reconcile-requested-at that was last acted on.' })
    .exactOptional(),
}

/** The default that makes `observedGeneration: -1` true for an object that has no status yet. */
export const unseen = { observedGeneration: -1 }

/** A group of counters. */
export const counts = <Name extends string>(names: Record<Name, string>, description: string) =>
  z
    .object(
      Object.fromEntries(
        Object.entries<string>(names).map(([name, about]) => [name, count(about).exactOptional()]),
      ) as Record<Name, z.ZodExactOptional<z.ZodInt>>,
    )
    .meta({ description })
