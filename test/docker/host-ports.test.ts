/** What an agent reaches of the machine of the engine: as it is, and with the rules that the documentation gives. */
import { execFileSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { Dialers } from './dialers.ts'
import { engineAnswers } from './engine.ts'

const pool = '10.202.64.0/24'
const page = readFileSync(
  join(import.meta.dirname, '../../docs/decisions/0008-the-metadata-address-is-the-containers-own.md'),
  'utf8',
)
/** The commands of the page, for the pool and the port of this test. */
const rules = (port: number) =>
  [...page.matchAll(/^iptables (-I .*)$/gm)].map(([, rule = '']) =>
    rule.replace('10.201.0.0/16', pool).replace('--dport 8080', `--dport ${port}`).split(' '),
  )

const iptables = (...args: string[]) => execFileSync('iptables', ['-w', ...args], { stdio: 'pipe' })
const mayFilter = (() => {
  try {
    iptables('-S', 'DOCKER-USER')
    return true
  } catch {
    console.error('\n*** NO iptables, OR NO RIGHT TO IT, OR NO ENGINE THAT USES IT: its rules are NOT TESTED ***\n')
    return false
  }
})()

describe.skipIf(!engineAnswers)('with an engine', () => {
  const dialers = new Dialers()
  beforeAll(() => dialers.prepare(), 180_000)
  afterAll(() => dialers.clear(), 180_000)

  async function listening(host: string): Promise<number> {
    const server = createServer((socket) => socket.end()).listen(0, host)
    onTestFinished(() => void server.close())
    await once(server, 'listening')
    return (server.address() as AddressInfo).port
  }
  const machine = 'host.docker.internal'

  test('the platform answers an agent, and what listens on loopback alone does not', async () => {
    const one = await dialers.launched('ports', dialers.open(`ports-${randomUUID()}`))
    const [platform, health] = [await listening('0.0.0.0'), await listening('127.0.0.1')]
    expect(await one.dial([machine, platform], [machine, health])).toEqual(['answers', 'ECONNREFUSED'])
  })

  test.skipIf(!mayFilter)(
    'with the documented rules an agent reaches the platform alone, and its own operator still reaches it',
    async () => {
      const one = await dialers.launched('ports', dialers.open(`filtered-${randomUUID()}`, [pool]))
      const [platform, other] = [await listening('0.0.0.0'), await listening('0.0.0.0')]
      const wire = '168.63.129.16'
      expect(await one.dial([machine, platform], [machine, other])).toEqual(['answers', 'answers'])
      const added = rules(platform)
      expect(added).toHaveLength(3)
      onTestFinished(() => {
        for (const [, chain = '', ...rule] of added) iptables('-D', chain, ...rule)
      })
      for (const rule of added) iptables(...rule)
      const gateway = one.ip.replace(/\d+$/, (last) => String(Number(last) - (Number(last) % 64) + 1))
      expect(
        await one.dial([machine, platform], [machine, other], [gateway, other], [gateway, platform], [wire, 80]),
      ).toEqual(['answers', 'silence', 'silence', 'answers', 'ECONNREFUSED'])
    },
  )
})
