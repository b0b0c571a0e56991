/** How anything thrown becomes an answer: one shape, and nothing of the inside in it. */
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import type { Socket } from 'node:net'
import { reasonOf, RetryAfter, Unavailable } from '../errors.ts'
import { seconds } from '../duration.ts'
import type { LookUpFailed, LookUpsBusy } from '../outbound.ts'
import type { Logger } from '../telemetry/log.ts'
import { createLateRefusals, type LateRefusalLimits } from './late-refusals.ts'
import { errorBody, Refusal } from './refusal.ts'

/** Fastify's own refusals, and what we call them. Any other code of a 4xx is `bad_request`. */
const known: Readonly<Record<string, Refusal>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: new Refusal(413, 'body_too_large', 'the body is larger than this route takes'),
  FST_ERR_CTP_INVALID_MEDIA_TYPE: new Refusal(415, 'unsupported_media_type', 'send the body as application/json'),
  FST_ERR_CTP_EMPTY_JSON_BODY: new Refusal(400, 'invalid_json', 'the body is empty'),
  FST_ERR_CTP_INVALID_JSON_BODY: new Refusal(400, 'invalid_json', 'the body is not JSON'),
}

const internal = new Refusal(500, 'internal', 'something went wrong here; the log of the operator says what')
const badRequest = new Refusal(400, 'bad_request', 'the request cannot be read')

const storeUnavailable = (cause: RetryAfter): Refusal =>
  cause.reason === 'DatabaseBusy'
    ? new Refusal(503, 'store_busy', 'the database is busy; try again', { retryAfter: seconds(2), cause })
    : new Refusal(503, 'store_unavailable', 'the database cannot be reached; try again', {
        retryAfter: seconds(5),
        cause,
      })

/** Awaits the store. A database that is away or busy is a 503 that asks the caller to come again; anything else is our fault. */
export async function fromStore<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer
  } catch (cause) {
    throw cause instanceof RetryAfter ? storeUnavailable(cause) : cause
  }
}

/** A name that a caller gave is not looked up, since too many are. */
export const lookUpsBusy = ({ message }: LookUpsBusy): Refusal =>
  new Refusal(429, 'lookups_busy', message, { retryAfter: seconds(5) })

/** Not sooner than a name that failed is asked for again (look-ups.ts). */
export const lookUpFailed = (cause: LookUpFailed): Refusal =>
  new Refusal(503, 'lookup_failed', `url cannot be checked: ${cause.message}`, { retryAfter: seconds(30) })

function refusalOf(error: FastifyError | Error): Refusal {
  if (error instanceof Refusal) return error
  if (error instanceof Unavailable) return storeUnavailable(error)
  const { code, statusCode } = error as Partial<FastifyError>
  const found = code === undefined ? undefined : known[code]
  if (found) return found
  return statusCode !== undefined && statusCode < 500 ? badRequest : internal
}

export function send(reply: FastifyReply, refusal: Refusal): FastifyReply {
  if (refusal.retryAfter !== undefined) reply.header('retry-after', Math.ceil(refusal.retryAfter / 1000))
  if (refusal.status === 401) reply.header('www-authenticate', 'Bearer')
  const body = errorBody(refusal.code, refusal.message)
  return reply.code(refusal.status).send(refusal.waking ? { ...body, waking: true } : body)
}

/**
 * The error handler. Only our own faults (5xx with a cause) are logged, each code at most once in `quiet`: ten thousand
 * agents all meet the same dead database.
 */
export function errorHandler(log: Logger, late: LateRefusalLimits, quiet = seconds(10)) {
  const loggedAt = new Map<string, number>()
  const delay = createLateRefusals(late)
  return async (error: FastifyError | Error, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    const refusal = refusalOf(error)
    const cause = refusal === internal ? error : refusal.cause
    const now = performance.now()
    if (refusal.status >= 500 && cause !== undefined && now - (loggedAt.get(refusal.code) ?? -Infinity) >= quiet) {
      loggedAt.set(refusal.code, now)
      log.warn({ route: request.routeOptions.url, code: refusal.code, err: reasonOf(cause) }, 'request failed')
    }
    await delay(refusal, request, reply)
    return send(reply, refusal)
  }
}

/** Answers what never became a request: garbage, headers or a body that came too slowly. */
export function answerBrokenRequest(error: NodeJS.ErrnoException, socket: Socket): number | undefined {
  if (error.code === 'ECONNRESET' || !socket.writable) return undefined
  const [status, phrase, code, message] =
    error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
      ? ([408, 'Request Timeout', 'request_timeout', 'the request came too slowly'] as const)
      : error.code === 'HPE_HEADER_OVERFLOW'
        ? ([431, 'Request Header Fields Too Large', 'headers_too_large', 'the headers are too large'] as const)
        : ([400, 'Bad Request', 'bad_request', badRequest.message] as const)
  const body = JSON.stringify(errorBody(code, message))
  const head = `HTTP/1.1 ${status} ${phrase}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}`
  socket.end(`${head}\r\nConnection: close\r\n\r\n${body}`)
  return status
}
