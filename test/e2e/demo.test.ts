/** `npm run demo`, judged from outside: what runs, what it prints, how it ends, and that nothing stays. */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import Docker from 'dockerode'
import { describe, expect, test } from 'vitest'
import { dockerAvailable } from '../support/docker.ts'
import { until } from '../support/until.ts'
import { agentProcesses, noDocker, nothingIsLeft, ownTemp, processesOf, startDemo } from './demo-run.ts'

const timeout = 300_000

test('with --once the org comes up as processes, an agent answers, and nothing stays', { timeout }, async () => {
  const temp = await ownTemp()
  const demo = startDemo(temp, ['--once'], noDocker)
  expect(await demo.ended, demo.output).toBe(0)
  expect(demo.output).toContain('agents: processes')
  expect(demo.output).toContain('9 of 9 agents are Ready')
  expect(demo.output).toMatch(/Editor in Chief answers: .*Good morning!/)
  await nothingIsLeft(temp)
})

test('Ctrl-C, which npm doubles, ends a demo that is Ready within seconds', { timeout }, async () => {
  const temp = await ownTemp()
  const demo = startDemo(temp, [], noDocker)
  await demo.says('Ctrl-C stops everything')
  expect(agentProcesses(temp)).toBe(9)
  expect(demo.output).toMatch(/export KUBECONFIG=\S+\n(\s+kubectl .*\n){3}/)
  const began = performance.now()
  demo.signal('SIGINT')
  demo.signal('SIGINT')
  expect(await demo.ended, demo.output).toBe(130)
  expect(performance.now() - began).toBeLessThan(45_000)
  await nothingIsLeft(temp)
})

describe.each(['control-plane', 'postgres', 'operator.kubeconfig', 'agents'])('when there is %s', (entry) => {
  test('Ctrl-C leaves nothing of what was begun', { timeout }, async () => {
    const temp = await ownTemp()
    const demo = startDemo(temp, [], noDocker)
    await until(async () => (await inside(temp)).includes(entry) || processesOf(temp).length === 0, { within: 90_000 })
    demo.signal('SIGINT')
    expect(await demo.ended, demo.output).toBe(130)
    await nothingIsLeft(temp)
  })
})

test('what a killed demo left is taken away by the next one', { timeout }, async () => {
  const temp = await ownTemp()
  const killed = startDemo(temp, [], noDocker)
  await killed.says('Ctrl-C stops everything')
  killed.signal('SIGKILL')
  await killed.ended
  expect(agentProcesses(temp)).toBe(9)
  const next = startDemo(temp, ['--once'], noDocker)
  expect(await next.ended, next.output).toBe(0)
  expect(next.output).toContain('removed what an earlier demo left: 9 agents')
  await nothingIsLeft(temp)
})

describe.skipIf(!(await dockerAvailable()))('with a Docker engine', () => {
  const docker = new Docker()

  test('as many containers as workspaces, and none after Ctrl-C', { timeout }, async () => {
    const temp = await ownTemp()
    const demo = startDemo(temp, [])
    await demo.says('Ctrl-C stops everything')
    const [, reference = ''] = /containers of (\S+)/.exec(demo.output) ?? []
    // Another demo on this engine has the same image.
    const [folder = ''] = await readdir(temp)
    const record = JSON.parse(await readFile(join(temp, folder, 'demo.json'), 'utf8')) as { operatorInstance: string }
    const filters = { label: [`molecule.dev/operator=${record.operatorInstance}`] }
    expect(await docker.listContainers({ filters: { ...filters, ancestor: [reference] } })).toHaveLength(9)
    demo.signal('SIGINT')
    expect(await demo.ended, demo.output).toBe(130)
    expect(await docker.listContainers({ all: true, filters })).toEqual([])
    expect((await docker.listVolumes({ filters })).Volumes).toEqual([])
    expect(await docker.listNetworks({ filters })).toEqual([])
    await nothingIsLeft(temp)
  })
})

/** Names in the folder of the one demo of this temporary folder. */
async function inside(temp: string): Promise<string[]> {
  const [folder] = await readdir(temp)
  return folder === undefined ? [] : readdir(join(temp, folder)).catch(() => [])
}
