/**
 * Control planes of a run, lent to its test files. Operators under test watch every namespace, and objects without a
 * namespace are seen by all of them: a file has a plane to itself until its process has ended. A plane is started when a
 * file asks and none is free, so that a run of one file starts one.
 *
 * Lent over a connection, whose end gives the plane back, however the file's process ended. VITEST_POOL_ID cannot tell
 * planes apart: vitest gives it to the next file while the process of the one before may still run.
 */
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { createInterface } from 'node:readline'

/** As `Cluster` takes it. */
export interface LentPlane {
  readonly kubeconfig: string
  readonly kubectl: string
  readonly dir: string
}

/** A line of JSON, the only one that is sent. */
type Answer = { readonly plane: LentPlane } | { readonly error: string }

/** What a `ControlPlane` has of it. */
interface Plane {
  readonly kubeconfig: string
  readonly kubectlPath: string
  readonly dir: string
  stop(): Promise<void>
}

interface Place {
  plane?: Promise<Plane>
}

export class PlaneLender {
  readonly #start: () => Promise<Plane>
  readonly #server: Server
  readonly #places: readonly Place[]
  /** Those with a plane come first. */
  readonly #free: Place[]
  readonly #waiting: ((place: Place) => void)[] = []

  /** `most` planes at once; who asks for more of them waits. */
  constructor(most: number, start: () => Promise<Plane>) {
    this.#start = start
    this.#places = Array.from({ length: most }, () => ({}))
    this.#free = [...this.#places]
    this.#server = createServer((socket) => void this.#lend(socket))
  }

  /** Starts the first plane, so that what keeps all of them from starting ends the run, and gives the port to ask at. */
  async open(): Promise<number> {
    await this.#planeOf(this.#places[0] ?? {})
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    return (this.#server.address() as AddressInfo).port
  }

  async stop(): Promise<void> {
    this.#server.close()
    await Promise.all(this.#places.map(async ({ plane }) => (await plane?.catch(() => undefined))?.stop()))
  }

  async #lend(socket: Socket): Promise<void> {
    const closed = new Promise<void>((resolve) => socket.on('error', () => {}).once('close', () => resolve()))
    socket.resume()
    const place = this.#free.shift() ?? (await new Promise<Place>((resolve) => this.#waiting.push(resolve)))
    const answer = await this.#planeOf(place).then(
      ({ kubeconfig, kubectlPath, dir }): Answer => ({ plane: { kubeconfig, kubectl: kubectlPath, dir } }),
      (error: unknown): Answer => ({ error: String(error) }),
    )
    socket.write(`${JSON.stringify(answer)}\n`)
    await closed
    const next = this.#waiting.shift()
    if (next) next(place)
    else this.#free.unshift(place)
  }

  /** Started unless it is there. One that could not be started is tried again for the next file. */
  #planeOf(place: Place): Promise<Plane> {
    place.plane ??= this.#start().catch((error: unknown) => {
      delete place.plane
      throw error
    })
    return place.plane
  }
}

/** A plane for this process, until its end. */
export async function borrowPlane(port: number): Promise<LentPlane> {
  const socket = connect(port, '127.0.0.1')
  const lines = createInterface({ input: socket })
  const [line] = (await once(lines, 'line')) as [string]
  // Open for as long as this process runs, which it does not keep from ending.
  socket.unref()
  const answer = JSON.parse(line) as Answer
  if ('error' in answer) throw new Error(`no control plane could be had: ${answer.error}`)
  return answer.plane
}
