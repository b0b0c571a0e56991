import type { Lease } from '../../src/kube/lease.ts'

interface LeaseAnswer {
  readonly code: number
  readonly body: object
}

/** The one Lease of a fault server, with conditional writes as an API server does them. */
export class FaultLease {
  record: Lease | undefined
  /** Applies the next write, and gives no answer to it. */
  loseAnswer = false
  /** Writes that were refused since they were made on another record. */
  conflicts = 0
  /** Writes are refused for want of rights, and counted. */
  forbids = false
  forbidden = 0
  readonly #nextVersion: () => string

  constructor(nextVersion: () => string) {
    this.#nextVersion = nextVersion
  }

  /** Writes as another client does, whatever is there. */
  write(spec: Lease['spec'], of: Partial<Lease['metadata']> = {}): void {
    const { metadata = { name: 'operator', namespace: 'here' }, spec: before } = this.record ?? {}
    this.record = {
      metadata: { ...metadata, ...of, resourceVersion: this.#nextVersion() },
      spec: { ...before, ...spec },
    }
  }

  /** Undefined: the connection is to be cut. */
  answer(method: string, sent: string): LeaseAnswer | undefined {
    const { record } = this
    if (method === 'GET') return record === undefined ? refusal(404, 'NotFound') : { code: 200, body: record }
    if (this.forbids) {
      this.forbidden++
      return refusal(403, 'Forbidden')
    }
    const { metadata, spec } = JSON.parse(sent) as Lease
    const known = record?.metadata
    const isFresh = known?.resourceVersion === metadata.resourceVersion && known?.uid === metadata.uid
    if (method === 'POST' ? record !== undefined : !isFresh) {
      this.conflicts++
      return refusal(409, method === 'POST' ? 'AlreadyExists' : 'Conflict')
    }
    const resourceVersion = this.#nextVersion()
    this.record = { metadata: { uid: `lease-${resourceVersion}`, ...metadata, resourceVersion }, spec }
    if (!this.loseAnswer) return { code: 200, body: this.record }
    this.loseAnswer = false
    return undefined
  }
}

const refusal = (code: number, reason: string): LeaseAnswer => ({
  code,
  body: { kind: 'Status', status: 'Failure', code, reason, message: `${reason} on purpose` },
})
