/**
 * Places where a test kills the operator, one after each side effect of a pass. Without a listener, a call is one comparison.
 * The numbers are those of the steps in docs/architecture.md.
 */
export const failpoints = [
  'claimed', // the finalizer is on the object
  'recorded', // the intent row is written
  'parted', // schedules, channels, memories and the like of a workspace are in rows
  'launching', // the row says provisioning and knows the new token; no instance yet
  'created', // the instance exists and has not started (docker)
  'delivered', // files and token are in place, still not started (docker)
  'ensured', // the instance runs; its facts are not recorded
  'observed', // the facts are recorded; the status is not written
  'failed', // a failure is recorded; the instance is still there
  'adopted', // a running instance was taken over; the row does not know it yet
  'hibernating', // an idle agent's sleep is claimed; the instance is still there
  'prepared', // the image of a replacement is there; nothing is taken away yet
  'removed', // an instance was taken away
  'rested', // the row says paused or hibernated
  'tombstoned', // a deletion marked the row removed and revoked its tokens
  'cascaded', // a deletion asked its lowest descendants to go
  'leaked', // a deletion gave an instance up and wrote that down
  'erased', // a deletion took instance and volumes; the finalizer is still there
  'reported', // the status is written
  'filed', // an import wrote its files; no child has been applied
  'applied', // an import applied one child
  'equipped', // an import applied or deleted one PluginInstall
  'pruned', // an import deleted one child whose node left
  'released', // an import that is deleted let go of one child
] as const
export type Failpoint = (typeof failpoints)[number]

let listener: ((name: Failpoint) => void) | undefined

/** Tells of each place that is reached. Only `src/dev` calls this, so that a released operator has nothing to arm. */
export function onFailpoint(reached: (name: Failpoint) => void): void {
  listener = reached
}

/** A side effect has happened. */
export function failpoint(name: Failpoint): void {
  listener?.(name)
}
