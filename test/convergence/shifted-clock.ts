/** The wall clock of this process, which a test may set wrong. Monotonic clocks and timers go on as they were. */
const Real = Date
let shift = 0

class ShiftedDate extends Real {
  constructor(...args: [] | [number | string | Date]) {
    super(...((args.length === 0 ? [Real.now() + shift] : args) as [number]))
  }
  static override now(): number {
    return Real.now() + shift
  }
}

export function setClock(hours: number): void {
  shift = hours * 3_600_000
  globalThis.Date = (hours === 0 ? Real : ShiftedDate) as DateConstructor
}
