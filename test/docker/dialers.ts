/** Agents in containers that try what they are told to, for tests of what can be reached from there. */
import { randomUUID } from 'node:crypto'
import type { InstanceSpec } from '../../src/backends/backend.ts'
import { DockerBackend } from '../../src/backends/docker/backend.ts'
import { buildNodeImage } from '../../src/dev/agent-image.ts'
import { never, specOf, until } from '../contract/backend.contract.ts'
import { docker, host } from './engine.ts'

/** Answers on its port, and tries what it is asked to: connections by address or name, and names of addresses. */
const program = `
import { createServer } from 'node:http'
import { connect } from 'node:net'
import { reverse } from 'node:dns/promises'
const dial = (host, port) => new Promise((resolve) => {
  const socket = connect({ host, port: Number(port), timeout: 1500 })
  const end = (word) => { socket.destroy(); resolve(word) }
  socket.on('connect', () => end('answers'))
  socket.on('timeout', () => end('silence'))
  socket.on('error', (error) => end(error.code))
})
const name = (address) => reverse(address).then((names) => names.join(), (error) => error.code)
createServer(async (asked, answer) => {
  const { dials = [], names = [] } = JSON.parse(decodeURIComponent(asked.url.slice(2)) || '{}')
  answer.end(JSON.stringify({
    dials: await Promise.all(dials.map(([host, port]) => dial(host, port))),
    names: await Promise.all(names.map(name)),
  }))
}).listen(8000, '0.0.0.0')
process.on('SIGTERM', () => process.exit(0))
`

interface Ask {
  readonly dials?: readonly (readonly [host: string, port: number])[]
  readonly names?: readonly string[]
}

export class Dialers {
  readonly #used: { ref: InstanceSpec['ref']; by: DockerBackend }[] = []
  #image = ''

  async prepare(): Promise<void> {
    this.#image = await buildNodeImage({ docker, name: 'molecule-dials', program })
  }

  open(operatorInstance: string, subnets?: readonly string[]): DockerBackend {
    return new DockerBackend({ host, operatorInstance, ...(subnets && { subnets }) })
  }

  get image(): string {
    return this.#image
  }

  /** One that is not launched yet. */
  agent(namespace: string, by: DockerBackend): InstanceSpec {
    const uid = randomUUID()
    const spec = { ...specOf(this.#image, uid), ref: { uid, namespace, name: `agent-${uid.slice(0, 8)}` } }
    this.#used.push({ ref: spec.ref, by })
    return spec
  }

  async gone(ref: InstanceSpec['ref'], by: DockerBackend): Promise<void> {
    await until('it is gone', async () => (await by.remove(ref, 'delete', never)) === 'gone')
  }

  /** Launches one, and gives where it is and how to ask what it finds. */
  async launched(namespace: string, by: DockerBackend) {
    const spec = this.agent(namespace, by)
    await by.ensure(spec, never)
    const seen = await until('it runs', async () => {
      const now = await by.observe(spec.ref, never)
      return now.state === 'running' && now
    })
    const { NetworkSettings } = await docker.getContainer(`ws-${spec.ref.uid}`).inspect()
    const [network] = Object.values(NetworkSettings.Networks)
    const find = (ask: Ask) =>
      until('it answers', async () => {
        const url = `${seen.address}/?${encodeURIComponent(JSON.stringify(ask))}`
        const answer = await fetch(url).catch(() => undefined)
        return answer && ((await answer.json()) as { dials: string[]; names: string[] })
      })
    const dial = async (...dials: (readonly [host: string, port: number])[]) => (await find({ dials })).dials
    return { ...spec, seen, ip: network?.IPAddress ?? '', network: network?.NetworkID ?? '', find, dial }
  }

  /** Takes away all that was launched, and the networks. */
  async clear(): Promise<void> {
    await Promise.all(this.#used.map(({ ref, by }) => this.gone(ref, by)))
    for (const by of new Set(this.#used.map((each) => each.by))) await by.removeNetworks(never)
  }
}
