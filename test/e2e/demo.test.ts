/** `npm run demo`, judged from outside: what runs, what it prints, how it ends, and that nothing stays. */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import Docker from 'dockerode'
import { describe, expect, onTestFinished, test } from 'vitest'
import { dockerAvailable } from '../support/docker.ts'
import { until } from '../support/until.ts'
import {
  agentProcesses,
  demoCommand,
  noDocker,
  nothingIsLeft,
  ownTemp,
  processesOf,
  startCommand,
  startDemo,
} from './demo-run.ts'

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

test('a reader that goes away ends it in order', { timeout }, async () => {
  const temp = await ownTemp()
  const demo = startCommand(temp, ['sh', '-c', `${demoCommand} | head -14`], noDocker)
  await demo.ended
  // The tree had begun to come up.
  expect(demo.output).toMatch(/of 9 agents are Ready/)
  expect(demo.output.split('\n')).toHaveLength(15)
  await nothingIsLeft(temp)
})

describe.skipIf(!(await dockerAvailable()))('with a Docker engine', () => {
  const docker = new Docker()

  /** What the engine has of the one demo of this temporary folder. */
  async function engineHolds(temp: string) {
    const [folder = ''] = await readdir(temp)
    const record = JSON.parse(await readFile(join(temp, folder, 'demo.json'), 'utf8')) as { operatorInstance: string }
    const filters = { label: [`molecule.dev/operator=${record.operatorInstance}`] }
    onTestFinished(async () => {
      for (const { Id } of await docker.listContainers({ all: true, filters }))
        await docker.getContainer(Id).remove({ force: true, v: true })
      for (const { Name } of (await docker.listVolumes({ filters })).Volumes) await docker.getVolume(Name).remove()
      for (const { Id } of await docker.listNetworks({ filters })) await docker.getNetwork(Id).remove()
    })
    return async () => ({
      containers: (await docker.listContainers({ all: true, filters })).length,
      volumes: (await docker.listVolumes({ filters })).Volumes.length,
      networks: (await docker.listNetworks({ filters })).length,
    })
  }
  const nothing = { containers: 0, volumes: 0, networks: 0 }

  test('as many containers as workspaces, and none after Ctrl-C', { timeout }, async () => {
    const temp = await ownTemp()
    const demo = startDemo(temp, [])
    await demo.says('Ctrl-C stops everything')
    const held = await engineHolds(temp)
    expect(await held()).toMatchObject({ containers: 9, networks: 1 })
    demo.signal('SIGINT')
    expect(await demo.ended, demo.output).toBe(130)
    expect(await held()).toEqual(nothing)
    await nothingIsLeft(temp)
  })

  test('a terminal that is closed leaves nothing', { timeout }, async () => {
    const temp = await ownTemp()
    // What holds the other side of the terminal is killed: the demo gets SIGHUP, and each write of it fails with EIO.
    const terminal = startCommand(temp, ['script', '-qfec', demoCommand, '/dev/null'])
    await terminal.says('Ctrl-C stops everything')
    const held = await engineHolds(temp)
    expect(await held()).toMatchObject({ containers: 9, networks: 1 })
    terminal.signal('SIGKILL')
    await terminal.ended
    await nothingIsLeft(temp)
    expect(await held()).toEqual(nothing)
  })

  test('what a killed demo left is found again after one that had no engine', { timeout }, async () => {
    const temp = await ownTemp()
    const killed = startDemo(temp, [])
    await killed.says('Ctrl-C stops everything')
    const held = await engineHolds(temp)
    killed.signal('SIGKILL')
    await killed.ended
    const without = startDemo(temp, [], noDocker)
    await without.says('keeps their record')
    without.signal('SIGINT')
    expect(await without.ended, without.output).toBe(130)
    expect(without.output).toContain('cannot be removed now: the Docker engine that they are on does not answer')
    expect(await held()).toMatchObject({ containers: 9, networks: 1 })
    const next = startDemo(temp, [])
    await next.says('removed what an earlier demo left: 9 agents')
    next.signal('SIGINT')
    expect(await next.ended, next.output).toBe(130)
    expect(await held()).toEqual(nothing)
    await nothingIsLeft(temp)
  })
})

/** Names in the folder of the one demo of this temporary folder. */
async function inside(temp: string): Promise<string[]> {
  const [folder] = await readdir(temp)
  return folder === undefined ? [] : readdir(join(temp, folder)).catch(() => [])
}
