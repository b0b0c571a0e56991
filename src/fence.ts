/** The right to act as leader. Checked before every effect, because a frozen process wakes up believing it leads. */
export interface Fence {
  /** Grows with every leader; rows are written only under the current one. */
  readonly epoch: bigint
  /**
   * Throws when the lease may have passed to another, by this machine's monotonic clock: `RetryAfter` while that is in
   * doubt, `Fenced` when this process does not lead.
   */
  check(): void
}
