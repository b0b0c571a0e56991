import { milliseconds, seconds, type Duration } from '../duration.ts'

/** What the API server answered, or why it did not answer (`code` 0). The message holds no value of the body sent. */
export class KubeError extends Error {
  override readonly name = 'KubeError'
  /** HTTP status, or 0 when there was no answer that could be read. */
  readonly code: number
  /** metav1.Status.reason; `NetworkError`, `Timeout`, `AnswerTooLarge` or `BadAnswer` where there is none. */
  readonly reason: string
  readonly retryAfter: Duration | undefined
  /** metav1.Status.details.causes: each field that is at fault, and how. */
  readonly causes: readonly Cause[]

  constructor(code: number, reason: string, message: string, options: KubeErrorOptions = {}) {
    super(message, options)
    this.code = code
    this.reason = reason
    this.retryAfter = options.retryAfter
    this.causes = options.causes ?? []
  }

  get isNotFound(): boolean {
    return this.code === 404
  }
  get isUnauthorized(): boolean {
    return this.code === 401
  }
  get isForbidden(): boolean {
    return this.code === 403
  }
  get isAlreadyExists(): boolean {
    return this.code === 409 && this.reason === 'AlreadyExists'
  }
  /** A lost write race: another client wrote first. */
  get isConflict(): boolean {
    return this.code === 409 && !this.isAlreadyExists
  }
  /** An apply without force named fields that others hold: `causes` says which. */
  get isFieldConflict(): boolean {
    return this.code === 409 && this.causes.some(({ reason }) => reason === 'FieldManagerConflict')
  }
  /** The resourceVersion or continue token is too old: only a new list can help. */
  get isGone(): boolean {
    return this.code === 410 || this.reason === 'Expired' || this.reason === 'Gone'
  }
  /** The answer was longer than may be read: a list is asked for in smaller pages. */
  get isTooLarge(): boolean {
    return this.code === 0 && this.reason === 'AnswerTooLarge'
  }
  get isThrottled(): boolean {
    return this.code === 429
  }
  /** The API server as a whole does not serve us: nothing is wrong with the request. A 500 may be of one object alone. */
  get isAway(): boolean {
    if (this.code === 0) return !this.isTooLarge && this.reason !== 'BadAnswer'
    return this.isUnauthorized || this.isThrottled || (this.code >= 502 && this.code <= 504)
  }
  /** Asking again later may help. */
  get isTransient(): boolean {
    if (this.isTooLarge) return false
    return this.code === 0 || this.code === 429 || this.code >= 500
  }
}

export interface Cause {
  readonly reason?: string
  readonly message?: string
  readonly field?: string
}

interface KubeErrorOptions extends ErrorOptions {
  readonly retryAfter?: Duration
  readonly causes?: readonly Cause[]
}

interface Status {
  readonly reason?: string
  readonly message?: string
  readonly code?: number
  readonly details?: { readonly retryAfterSeconds?: number; readonly causes?: readonly Cause[] }
}

/** Whatever stands in front of an API server may ask for days of patience, or more than a timer can count. */
const longestWait = seconds(60)

/** The error of an answer. Anything may stand in front of an API server, so the body need not be a Status. */
export function errorOfAnswer(what: string, code: number, body: string, retryAfterHeader: unknown): KubeError {
  const status = readStatus(body)
  const causes = status.details?.causes?.map(withoutValue)
  const told = code === 422 ? refusedFields(causes) : undefined
  const wait = Number(retryAfterHeader ?? status.details?.retryAfterSeconds ?? Number.NaN)
  return new KubeError(
    code,
    status.reason ?? `HTTP${code}`,
    `${what}: ${told ?? status.message ?? `answered ${code}`}`,
    {
      ...(Number.isFinite(wait) && wait >= 0 && { retryAfter: milliseconds(Math.min(wait * 1000, longestWait)) }),
      ...(causes && { causes }),
    },
  )
}

/**
 * An object that is refused is quoted by the API server, field by field, and with it what an agent or an engine said:
 * `status.summary: Invalid value: "…": must be one line`. The value is left out.
 */
function withoutValue(cause: Cause): Cause {
  const { message = '' } = cause
  // A rule in CEL is told without any value.
  const kind = /^\w+ value(?=: (?:["[{]|map\[|-?\d|true\b|false\b|null\b|<nil>))/.exec(message)?.[0]
  if (kind === undefined) return cause
  return { ...cause, message: `${kind}${message.slice(endOfValue(message, kind.length + 2))}` }
}

/** The value is JSON or of Go's own syntax: it ends at the first colon outside all quotes and brackets. */
function endOfValue(message: string, start: number): number {
  let [depth, quoted] = [0, false]
  for (let i = start; i < message.length; i++) {
    const character = message.charAt(i)
    if (quoted && character === '\\') i++
    else if (character === '"') quoted = !quoted
    else if (quoted) continue
    else if ('{[('.includes(character)) depth++
    else if ('}])'.includes(character)) depth--
    else if (depth === 0 && message.startsWith(': ', i)) return i
  }
  return message.length
}

const mostFields = 10

function refusedFields(causes: readonly Cause[] = []): string | undefined {
  if (causes.length === 0) return undefined
  const shown = causes.slice(0, mostFields).map(({ field = '', message = '' }) => `${field}: ${message}`)
  const more = causes.length > mostFields ? `; and ${causes.length - mostFields} more` : ''
  return `refused as invalid: ${shown.join('; ')}${more}`
}

/** The error inside a watch stream: an event of type ERROR carries a Status. */
export function errorOfStatus(what: string, status: Status): KubeError {
  return new KubeError(status.code ?? 0, status.reason ?? 'Unknown', `${what}: ${status.message ?? 'watch failed'}`)
}

function readStatus(body: string): Status {
  try {
    const parsed: unknown = JSON.parse(body)
    return typeof parsed === 'object' && parsed !== null ? parsed : {}
  } catch {
    return {}
  }
}
