/** Row 11: containers started a second beside a raw loop of the same client, and the calls that each takes. */
import { randomUUID } from 'node:crypto'
import Dockerode from 'dockerode'
import type { InstanceSpec } from '../../src/backends/backend.ts'
import { DockerBackend } from '../../src/backends/docker/backend.ts'
import { socketOf } from '../../src/backends/docker/host.ts'
import { createBody } from '../../src/backends/docker/translate.ts'
import { defaultTiers } from '../../src/backends/tiers.ts'
import { buildAgentImage } from '../../src/dev/agent-image.ts'
import { openProxy } from '../../test/docker/proxy.ts'
import { figure, type Figure } from '../figure.ts'
import { quantile } from '../raw.ts'
import type { Bench } from '../rig.ts'
import { interleave, remark, spread } from '../rounds.ts'

const containers = 40
/** Starts under way at a time, in both loops. */
const atOnce = 8

export async function dockerRows({ options, report }: Bench): Promise<Figure[]> {
  if (!options.rows.has(11)) return []
  const socketPath = socketOf(process.env['DOCKER_HOST'])
  const docker = new Dockerode({ socketPath })
  const image = await buildAgentImage({ docker })
  const place = new Place(docker, image)
  try {
    const result = await interleave(
      options.rounds,
      () => place.raw(),
      () => place.ours(`unix://${socketPath}`),
      (line) => report(`row 11: ${line}`),
    )
    const rates = spread(result.pairs.map(({ measured }) => containers / measured))
    const starts = figure({
      row: 11,
      measure: `containers started a second, ${atOnce} at once`,
      value: rates.median,
      unit: '/s',
      bound:
        containers /
        quantile(
          result.pairs.map(({ bound }) => bound),
          0.5,
        ),
      ratio: quantile(
        result.pairs.map(({ bound, measured }) => bound / measured),
        0.5,
      ),
      goal: { of: 'ratio', least: 0.9 },
      spread: rates,
      note: ['the raw loop creates and starts; ours delivers files and token in between', remark(result)]
        .filter((words) => words !== undefined)
        .join('; '),
    })
    return [starts, await place.calls(`unix://${socketPath}`)]
  } finally {
    await place.clear()
  }
}

/** One engine, with everything of this run under one mark. */
class Place {
  readonly #docker: Dockerode
  readonly #image: string
  readonly #operatorInstance = `bench-${randomUUID()}`

  constructor(docker: Dockerode, image: string) {
    this.#docker = docker
    this.#image = image
  }

  /** Seconds of `containers` launches, each looked for before, as a pass of the operator does. */
  async ours(host: string, count = containers): Promise<number> {
    const backend = new DockerBackend({ host, operatorInstance: this.#operatorInstance })
    const never = new AbortController().signal
    const seconds = await timed(count, async (uid) => {
      const spec = this.#spec(uid)
      await backend.observe(spec.ref, never)
      await backend.ensure(spec, never)
    })
    await this.clear()
    return seconds
  }

  /** Seconds of as many containers of the same body, created and started. */
  async raw(): Promise<number> {
    const { id } = await this.#docker.createNetwork({ Name: this.#operatorInstance, Labels: this.#marks })
    const { operator, socket, cpus } = { operator: this.#operatorInstance, socket: '', cpus: Infinity }
    const seconds = await timed(containers, async (uid) => {
      const body = createBody(this.#spec(uid), { operator, socket, cpus, network: id })
      await (await this.#docker.createContainer({ ...body, name: `ws-${uid}` })).start()
    })
    await this.clear()
    return seconds
  }

  async calls(host: string): Promise<Figure> {
    const proxy = await openProxy(host)
    try {
      const count = 4
      await this.ours(proxy.host, count)
      const launches = proxy.requests.filter((line) => /^(POST|PUT) .*\/containers\//.test(line))
      const networks = proxy.requests.filter((line) => line.includes('/networks'))
      const looks = proxy.requests.length - launches.length - networks.length
      return figure({
        row: 11,
        measure: 'calls that change something, a container',
        value: launches.length / count,
        unit: '',
        bound: 2,
        goal: { of: 'value', most: 2 },
        note: `create, archive, start; ${looks / count} looks before, that nothing is there yet`,
      })
    } finally {
      await proxy.close()
    }
  }

  async clear(): Promise<void> {
    const filters = { label: Object.entries(this.#marks).map((pair) => pair.join('=')) }
    const found = await this.#docker.listContainers({ all: true, filters })
    await Promise.all(found.map(({ Id }) => this.#docker.getContainer(Id).remove({ force: true, v: true })))
    const { Volumes } = await this.#docker.listVolumes({ filters })
    await Promise.all(Volumes.map(({ Name }) => this.#docker.getVolume(Name).remove()))
    const networks = await this.#docker.listNetworks({ filters })
    await Promise.all(networks.map(({ Id }) => this.#docker.getNetwork(Id).remove()))
  }

  get #marks() {
    return { 'molecule.dev/operator': this.#operatorInstance }
  }

  #spec(uid: string): InstanceSpec {
    const ref = { uid, namespace: 'bench', name: `ws-${uid.slice(0, 8)}` }
    const said = { specHash: 'bench', image: this.#image, runtime: 'bench', token: 'bench' }
    // An agent that finds no platform waits for it, and does nothing else.
    const env = { PLATFORM_URL: 'http://127.0.0.1:9', WORKSPACE_ID: uid }
    return { ref, ...said, env, files: [{ path: 'config.yaml', content: 'name: bench\n' }], limits: defaultTiers[2] }
  }
}

async function timed(count: number, launch: (uid: string) => Promise<void>): Promise<number> {
  const uids = Array.from({ length: count }, () => randomUUID())
  const begun = performance.now()
  const worker = async () => {
    for (let uid = uids.pop(); uid !== undefined; uid = uids.pop()) await launch(uid)
  }
  await Promise.all(Array.from({ length: atOnce }, worker))
  return (performance.now() - begun) / 1000
}
