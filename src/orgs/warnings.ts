/** What a person should know of a template and that does not stop the import. */
import { showPlace, shown, type OrgWarning, type OrgWarningCode, type Path, type Place } from './org-error.ts'

/** Warnings of one code that are told one by one: a thousand nodes with one mistake are one mistake. */
const told = 10
const mostOfAll = 1000

export class Warnings {
  readonly #placeOf: (path: Path) => Place | undefined
  readonly #list: OrgWarning[] = []
  readonly #ofAll = new Set<string>()
  readonly #counts = new Map<OrgWarningCode, number>()

  constructor(placeOf: (path: Path) => Place | undefined) {
    this.#placeOf = placeOf
  }

  /** `at` is where in the template; its place ends the message. */
  add(code: OrgWarningCode, path: string, message: string, at?: Path): void {
    // What stands in the defaults is met with each node, and is one thing to mend.
    const whole = `${code} ${message} ${at?.join('.')}`
    if (path === '' && this.#ofAll.size < mostOfAll) {
      if (this.#ofAll.has(whole)) return
      this.#ofAll.add(whole)
    }
    const count = (this.#counts.get(code) ?? 0) + 1
    this.#counts.set(code, count)
    if (count > told) return
    const place = at && this.#placeOf(at)
    const text = shown(place === undefined ? message : `${message} (${showPlace(place)})`)
    this.#list.push({ code, path: shown(path), message: text })
  }

  count(code: OrgWarningCode): number {
    return this.#counts.get(code) ?? 0
  }

  all(): readonly OrgWarning[] {
    const rest = [...this.#counts].flatMap(([code, count]): OrgWarning[] =>
      count > told ? [{ code, path: '', message: `and ${count - told} more of this kind` }] : [],
    )
    return [...this.#list, ...rest]
  }
}
