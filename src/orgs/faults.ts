/** The mistakes of a template, collected while it is read on, so that all of them are told at once. */
import { cut } from '../text.ts'
import { OrgError, OrgErrors, type OrgErrorCode } from './org-error.ts'

/** What takes most with it comes first: a file that cannot be read may hold half of the tree. */
const order: readonly OrgErrorCode[] = [
  'SourceInvalid',
  'TooLarge',
  'DepthExceeded',
  'SyntaxError',
  'IncludeMissing',
  'IncludeEscape',
  'IncludeCycle',
  'ExternalMissing',
  'FileMissing',
  'DuplicateSibling',
  'DuplicateId',
  'InvalidField',
]

/** After `met`, reading ends. Of one kind, as many are told one by one; in characters, all of them and each but the first. */
const most = { met: 500, ofKind: 10, characters: 8000, each: 300 }

/** There are more mistakes than anybody mends in one round: to look for the rest would only cost. */
export class TooManyFaults extends Error {
  override readonly name = 'TooManyFaults'
}

export class Faults {
  #met = 0
  readonly #kinds = new Map<OrgErrorCode, { readonly first: OrgError[]; count: number }>()

  get any(): boolean {
    return this.#kinds.size > 0
  }

  add(error: OrgError): void {
    const kind = this.#kinds.get(error.code) ?? { first: [], count: 0 }
    this.#kinds.set(error.code, kind)
    kind.count++
    this.#met++
    if (kind.first.length < most.ofKind) kind.first.push(error)
  }

  /**
   * What `act` gives; `instead` when it meets a mistake, which is kept. A limit that is exceeded ends the reading, and so do
   * too many mistakes (TooManyFaults).
   */
  attempt<T>(act: () => T, instead: T): T {
    try {
      return act()
    } catch (error) {
      if (!(error instanceof OrgError) || endsReading(error)) throw error
      this.add(error)
      if (this.#met >= most.met) throw new TooManyFaults()
      return instead
    }
  }

  /** All of them as one error, with the code and the place of the first. There must be one. */
  whole(): OrgError {
    const kinds = order.flatMap((code) => this.#kinds.get(code) ?? [])
    const [first] = kinds.flatMap((kind) => kind.first)
    if (first === undefined) throw new TypeError('there is no mistake to tell')
    return this.#met === 1 ? first : new OrgErrors(first, told(kinds, this.#met))
  }
}

const endsReading = ({ code }: OrgError) => code === 'TooLarge' || code === 'DepthExceeded'

function told(
  kinds: readonly { readonly first: readonly OrgError[]; readonly count: number }[],
  total: number,
): string {
  const parts: string[] = []
  let room = most.characters
  let told = 0
  for (const { first, count } of kinds) {
    for (const { message } of first) {
      const part = parts.length === 0 ? message : cut(message, most.each)
      room -= part.length + 2
      if (room < 0) break
      parts.push(part)
      told++
    }
    const left = count - first.length
    if (left > 0 && room > 0) {
      parts.push(`and ${left} more of this kind (${first[0]?.code})`)
      told += left
    }
  }
  return `${total} mistakes${total < most.met ? '' : ' or more'}: ${parts.join('; ')}${told < total ? `; and ${total - told} more` : ''}`
}
