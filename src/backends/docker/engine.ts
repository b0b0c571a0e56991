import type { IncomingMessage } from 'node:http'
import type { Readable } from 'node:stream'
import type Dockerode from 'dockerode'
import type { ContainerCreateOptions, ContainerInfo, ContainerInspectInfo } from 'dockerode'
import { seconds, type Duration } from '../../duration.ts'
import { failureOf } from './errors.ts'
import type { Guard } from '../backend.ts'
import { Looks, lookLimits } from './looks.ts'
import { adoptedPattern, label } from './ownership.ts'
import type { RegistryAuth } from './registry-credentials.ts'

const forLooks = lookLimits.deadline
const forWork = seconds(60)
const forPulls = seconds(900)
const forSizes = seconds(600)

/** The driver's option: whether containers of one network reach each other. */
const betweenContainers = 'com.docker.network.bridge.enable_icc'

/** What the engine says of its disk; a size is -1 or missing where it does not know. */
interface DiskFree {
  readonly Containers?: readonly {
    readonly Labels?: Volume['labels'] | null
    readonly Names?: readonly string[]
    readonly SizeRw?: number
  }[]
  readonly Volumes?: readonly {
    readonly Labels?: Volume['labels'] | null
    readonly UsageData?: { readonly Size: number }
  }[]
}

export interface Volume {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
}

/** How a call that changes something is made: not after the signal, and not once the guard throws. */
export interface Write {
  readonly signal: AbortSignal
  readonly guard: Guard
}

/** A network of this operator's. */
export interface Network {
  readonly id: string
  readonly name: string
  /** Undefined for the one that all namespaces shared before each had its own. */
  readonly namespace: string | undefined
  /** What runs on it cannot reach what else runs on it, and has no address of IPv6. */
  readonly isolating: boolean
}

/** The calls that the backend makes, each with a deadline and each seeing only what carries this operator's mark. */
export class Engine {
  readonly operator: string
  readonly #docker: Dockerode
  /** At containers: what every pass waits for. */
  readonly #looks = new Looks()

  constructor(docker: Dockerode, operator: string) {
    this.#docker = docker
    this.operator = operator
  }

  async create(name: string, body: ContainerCreateOptions, platform: string | undefined, write: Write) {
    const abortSignal = beginning(write)
    // The client puts every option into the URL, where the engine logs it, unless query and body are told apart.
    const parted = { _query: { name, ...(platform !== undefined && { platform }) }, _body: body, abortSignal }
    return (await this.#docker.createContainer(parted)).id
  }

  async put(id: string, path: string, archive: Buffer, write: Write): Promise<void> {
    await this.#docker.getContainer(id).putArchive(archive, { path, abortSignal: beginning(write) })
  }

  async start(id: string, write: Write): Promise<void> {
    // 304: it runs already.
    await this.#docker
      .getContainer(id)
      .start({ abortSignal: beginning(write) })
      .catch(unless((error) => 'statusCode' in error && error.statusCode === 304))
  }

  /** Undefined when the engine says that there is none; any other failure is thrown. */
  async inspect(idOrName: string, signal: AbortSignal): Promise<ContainerInspectInfo | undefined> {
    try {
      return await this.#looks.within(signal, async (abortSignal) => {
        return await this.#docker.getContainer(idOrName).inspect({ abortSignal })
      })
    } catch (error) {
      if (failureOf(error) === 'absent') return undefined
      throw error
    }
  }

  /** Containers of this operator in any state, made or adopted; of one uid when it is given. */
  async containers(uid: string | undefined, signal: AbortSignal): Promise<ContainerInfo[]> {
    const list = (filters: object) =>
      this.#looks.within(signal, (abortSignal) =>
        this.#docker.listContainers({ all: true, filters: JSON.stringify(filters), abortSignal }),
      )
    const [made, adopted] = await Promise.all([
      list({ label: this.#labelsOf(uid) }),
      list({ name: [adoptedPattern(this.operator, uid)] }),
    ])
    return [...made, ...adopted.filter(({ Labels }) => Labels[label.operator] === undefined)]
  }

  /** The adopted container of that uid, in any state. */
  async adopted(uid: string, signal: AbortSignal): Promise<string | undefined> {
    const filters = { name: [adoptedPattern(this.operator, uid)] }
    const found = await this.#looks.within(signal, (abortSignal) =>
      this.#docker.listContainers({ all: true, filters, abortSignal }),
    )
    return found.find(({ Labels }) => Labels[label.operator] === undefined)?.Id
  }

  /** Gives a container that was adopted the name by which it is found, and the operator alone the say over restarts. */
  async takeOver(id: string, name: string, write: Write): Promise<void> {
    const container = this.#docker.getContainer(id)
    await container.update({ RestartPolicy: { Name: 'no' }, abortSignal: beginning(write) })
    await container.rename({ name, abortSignal: beginning(write) })
  }

  /** Kills and removes in one call; volumes without a name go with it or stay. `removing`: the engine is at it already. */
  async removeContainer(id: string, write: Write, nameless: 'go' | 'stay' = 'go'): Promise<'gone' | 'removing'> {
    try {
      const how = { force: true, v: nameless === 'go', abortSignal: beginning(write) }
      await this.#docker.getContainer(id).remove(how)
      return 'gone'
    } catch (error) {
      const failure = failureOf(error)
      if (failure === 'absent') return 'gone'
      if (failure === 'removing') return 'removing'
      throw error
    }
  }

  /** Volumes of this operator; of one uid when it is given. */
  async volumes(uid: string | undefined, signal: AbortSignal): Promise<Volume[]> {
    const filters = { label: this.#labelsOf(uid) }
    const { Volumes } = await this.#docker.listVolumes({ filters, abortSignal: within(forLooks, signal) })
    return Volumes.map((volume) => ({ name: volume.Name, labels: labelsOf(volume) }))
  }

  /** Bytes of every writable layer and volume with labels of this operator's. The engine adds up its whole disk for that. */
  async sizes(signal: AbortSignal): Promise<{ labels: Volume['labels']; name: string; bytes: number }[]> {
    const found = await this.#get<DiskFree>('/system/df', within(forSizes, signal))
    const layers = (found.Containers ?? []).map(({ Labels, Names, SizeRw }) => ({
      labels: Labels ?? {},
      name: Names?.[0] ?? '',
      bytes: SizeRw ?? 0,
    }))
    const volumes = (found.Volumes ?? []).map(({ Labels, UsageData }) => ({
      labels: Labels ?? {},
      name: '',
      bytes: Math.max(0, UsageData?.Size ?? 0),
    }))
    return [...layers, ...volumes]
  }

  /** Containers of whomever, in any state, that have the volume. */
  async usersOf(volume: string, signal: AbortSignal): Promise<ContainerInfo[]> {
    const filters = { volume: [volume] }
    return await this.#docker.listContainers({ all: true, filters, abortSignal: within(forLooks, signal) })
  }

  /** A volume of whomever; undefined when there is none of that name. */
  async volume(name: string, signal: AbortSignal): Promise<Volume | undefined> {
    try {
      const found = await this.#docker.getVolume(name).inspect({ abortSignal: within(forLooks, signal) })
      return { name, labels: labelsOf(found) }
    } catch (error) {
      if (failureOf(error) === 'absent') return undefined
      throw error
    }
  }

  /** Makes an empty volume. One of that name that is there already stays as it is. */
  async createVolume(name: string, labels: Volume['labels'], write: Write): Promise<void> {
    await this.#docker.createVolume({ Name: name, Labels: labels, abortSignal: beginning(write) })
  }

  async removeVolume(name: string, write: Write): Promise<'gone' | 'in use'> {
    try {
      await this.#docker.getVolume(name).remove({ abortSignal: beginning(write) })
      return 'gone'
    } catch (error) {
      const failure = failureOf(error)
      if (failure === 'absent') return 'gone'
      if (failure === 'conflict') return 'in use'
      throw error
    }
  }

  /** Whether a namespace has a container that this operator made, in any state. */
  async hasContainers(namespace: string, signal: AbortSignal): Promise<boolean> {
    const filters = JSON.stringify({ label: [...this.#labelsOf(), `${label.namespace}=${namespace}`] })
    const asked = { all: true, limit: 1, filters, abortSignal: within(forLooks, signal) }
    return (await this.#docker.listContainers(asked)).length > 0
  }

  /** Networks of this operator, the oldest first: the engine allows two of one name. */
  async networks(signal: AbortSignal): Promise<Network[]> {
    const filters = { label: this.#labelsOf() }
    const found = await this.#docker.listNetworks({ filters, abortSignal: within(forLooks, signal) })
    return found
      .toSorted((a, b) => a.Created.localeCompare(b.Created) || a.Id.localeCompare(b.Id))
      .map(({ Id, Name, Labels, Driver, EnableIPv6, Options }) => ({
        id: Id,
        name: Name,
        namespace: Labels?.[label.namespace],
        isolating: Driver === 'bridge' && !EnableIPv6 && Options?.[betweenContainers] === 'false',
      }))
  }

  /** Subnets of all networks of the engine, whosever they are. */
  async subnets(signal: AbortSignal): Promise<string[]> {
    const found = await this.#docker.listNetworks({ abortSignal: within(forLooks, signal) })
    return found.flatMap(({ IPAM }) => (IPAM?.Config ?? []).map(({ Subnet }) => Subnet ?? '').filter(Boolean))
  }

  /** The id of a new network on which containers cannot reach each other, of IPv4 alone. */
  async createNetwork(name: string, namespace: string, subnet: string, write: Write): Promise<string> {
    const made = await this.#docker.createNetwork({
      Name: name,
      CheckDuplicate: true,
      Driver: 'bridge',
      EnableIPv6: false,
      IPAM: { Driver: 'default', Config: [{ Subnet: subnet }] },
      Options: { [betweenContainers]: 'false' },
      Labels: { [label.operator]: this.operator, [label.namespace]: namespace },
      abortSignal: beginning(write),
    })
    return made.id
  }

  /** `in use`: a container that runs is on it. */
  async removeNetwork(id: string, write: Write): Promise<'gone' | 'in use'> {
    try {
      await this.#docker.getNetwork(id).remove({ abortSignal: beginning(write) })
      return 'gone'
    } catch (error) {
      const failure = failureOf(error)
      if (failure === 'absent' || failure === 'no-network') return 'gone'
      if (failure === 'conflict') return 'in use'
      throw error
    }
  }

  async logs(id: string, lines: number, signal: AbortSignal): Promise<Buffer> {
    const options = { stdout: true, stderr: true, follow: false as const, tail: lines }
    return this.#docker.getContainer(id).logs({ ...options, abortSignal: within(forLooks, signal) })
  }

  /** What a path in a container is, links not followed. The container need not run. */
  async kindOf(
    id: string,
    path: string,
    signal: AbortSignal,
  ): Promise<'folder' | 'a link' | 'something else' | 'absent'> {
    try {
      const asked = { path, abortSignal: within(forLooks, signal) }
      const answer = (await this.#docker.getContainer(id).infoArchive(asked)) as IncomingMessage
      answer.resume()
      const stat = answer.headers['x-docker-container-path-stat']
      const { mode } = JSON.parse(Buffer.from(String(stat), 'base64').toString()) as { mode: number }
      // Bits of Go's FileMode, which need more than the 32 of an operator.
      const has = (bit: number) => Math.floor(mode / 2 ** bit) % 2 === 1
      return has(31) ? 'folder' : has(27) ? 'a link' : 'something else'
    } catch (error) {
      if (error instanceof Error && 'statusCode' in error && error.statusCode === 404) return 'absent'
      throw error
    }
  }

  /** `os/architecture[/variant]` of an image that is there; undefined when it is not. */
  async platformOf(image: string, signal: AbortSignal): Promise<string | undefined> {
    type Image = Partial<Record<'Os' | 'Architecture' | 'Variant', string>>
    try {
      const info = await this.#get<Image>(`/images/${encodeURI(image)}/json`, within(forLooks, signal))
      return [info.Os, info.Architecture, info.Variant].filter(Boolean).join('/')
    } catch (error) {
      if (failureOf(error) === 'no-image') return undefined
      throw error
    }
  }

  /** Fetches an image to its end: a pull that nobody reads is given up by the engine. */
  async pull(image: string, platform: string | undefined, auth: RegistryAuth | undefined): Promise<void> {
    const abortSignal = AbortSignal.timeout(forPulls)
    // The client sends them as a header, and takes them out of what becomes the URL.
    const asked = { ...(platform !== undefined && { platform }), ...(auth && { authconfig: auth }) }
    const stream = await this.#docker.pull(image, { abortSignal, ...asked })
    await new Promise<void>((resolve, reject) => {
      this.#docker.modem.followProgress(stream, (error) => (error ? reject(error) : resolve()))
    })
  }

  /** A stream of JSON lines that lasts until it breaks or the signal fires; only its beginning has a deadline. */
  async events(actions: string[], signal: AbortSignal): Promise<Readable> {
    const tooLate = new AbortController()
    const timer = setTimeout(() => tooLate.abort(), forLooks)
    try {
      // Of all containers: one that was adopted carries no label of ours, and the engine cannot filter by either of two.
      const filters = { type: ['container' as const], event: actions }
      const options = { filters, abortSignal: AbortSignal.any([signal, tooLate.signal]) }
      return (await this.#docker.getEvents(options)) as IncomingMessage
    } finally {
      clearTimeout(timer)
    }
  }

  /** For what the client itself knows no deadline. */
  async #get<T>(path: string, abortSignal: AbortSignal): Promise<T> {
    const statusCodes = { 200: true, 404: 'not found', 500: 'server error' }
    return new Promise((resolve, reject) => {
      this.#docker.modem.dial({ path, method: 'GET', abortSignal, statusCodes }, (error: unknown, found) =>
        error ? reject(error) : resolve(found as T),
      )
    })
  }

  #labelsOf(uid?: string): string[] {
    return [`${label.operator}=${this.operator}`, ...(uid === undefined ? [] : [`${label.uid}=${uid}`])]
  }
}

/** The engine says null where there are none. */
const labelsOf = ({ Labels }: { Labels: Volume['labels'] | null }): Volume['labels'] => Labels ?? {}

/** Asked as the very last thing before the request. */
function beginning({ signal, guard }: Write): AbortSignal {
  guard()
  return within(forWork, signal)
}

const within = (deadline: Duration, signal: AbortSignal): AbortSignal =>
  AbortSignal.any([signal, AbortSignal.timeout(deadline)])

const unless = (expected: (error: Error) => boolean) => (error: unknown) => {
  if (!(error instanceof Error) || !expected(error)) throw error
}
