import type { ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdir, readdir } from 'node:fs/promises'
import { resolve } from 'node:path'
import { seconds } from '../../duration.ts'
import { reasonOf, Terminal } from '../../errors.ts'
import {
  unguarded,
  type Backend,
  type DiskUse,
  type Guard,
  type InstanceId,
  type InstanceRef,
  type InstanceSpec,
  type Observation,
  type OwnedInstance,
  type SessionReset,
  withReset,
} from '../backend.ts'
import { ChangeFeed } from '../changes.ts'
import { checkedEnv, deliveredFiles } from '../names.ts'
import { InstanceFolder, type Intent } from './instance-folder.ts'
import { freePort, launch } from './launch.ts'
import { isAlive, signalGroup, type ProcessIdentity } from './process-table.ts'

interface ProcessOptions {
  /** Folder that holds one folder for each uid. */
  readonly stateDir: string
  /** What every instance runs: words, no shell. From the operator's configuration, never from a workspace. */
  readonly command: readonly string[]
  readonly operatorInstance: string
}

const plainPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
/** From the polite signal to the last one. */
const grace = seconds(2)
const pollEvery = seconds(1)

/**
 * Instances as processes of this machine, for development and the demo. They share the operator's user and its view of
 * the machine, and no limit of a tier is held: what a plain user can set counts for each process alone, or for the whole
 * user, and Node.js does not start under the memory of the smaller tiers. It is off unless the configuration turns it on.
 * A process outlives the operator and is adopted again by pid and start time.
 */
export class ProcessBackend implements Backend {
  readonly name = 'process'
  readonly #options: ProcessOptions
  readonly #stateDir: string
  /** Own children, whose end the kernel tells us; by launch. */
  readonly #children = new Set<string>()
  /** Processes that an earlier operator started, by uid. Their end has to be looked for. */
  readonly #adopted = new Map<string, { ref: InstanceRef; who: ProcessIdentity }>()
  readonly #feed = new ChangeFeed()

  constructor(options: ProcessOptions) {
    if (options.command.length === 0) throw new TypeError('the process backend needs a command')
    this.#options = options
    this.#stateDir = resolve(options.stateDir)
  }

  async observe(ref: InstanceRef): Promise<Observation> {
    try {
      const folder = new InstanceFolder(this.#stateDir, ref.uid)
      const intent = await folder.intent()
      return intent !== undefined && this.#owns(intent) ? await this.#look(folder, intent) : { state: 'absent' }
    } catch (error) {
      return { state: 'unknown', cause: reasonOf(error) }
    }
  }

  async ensure(spec: InstanceSpec, _signal?: AbortSignal, guard = unguarded): Promise<Observation> {
    if (spec.hostFolder !== undefined)
      throw new Terminal('HostAccessRefused', `the process backend mounts no folder: "${spec.hostFolder.path}"`)
    const files = deliveredFiles(spec)
    const given = checkedEnv(spec.env)
    const folder = new InstanceFolder(this.#stateDir, spec.ref.uid)
    const before = await folder.intent()
    if (before !== undefined && !this.#owns(before))
      throw new Terminal('NameTaken', `folder ${folder.path} belongs to another operator instance`)
    guard()
    if (before?.launch !== undefined && (await folder.callOff(before.launch.id)) === 'claimed')
      return this.#look(folder, before)
    const id = randomBytes(8).toString('hex')
    const port = await freePort()
    const url = `http://127.0.0.1:${port}`
    const wanted = { id, specHash: spec.specHash, port, createdAt: new Date().toISOString() }
    const intent = { operator: this.#options.operatorInstance, ref: spec.ref, launch: wanted }
    guard()
    await folder.writeIntent(intent)
    guard()
    const kept = spec.sessionsPath !== undefined
    await folder.deliver(files, kept ? 'with sessions' : 'without')
    await folder.boundLog()
    await mkdir(folder.run(id))
    const basics = { PATH: plainPath, HOME: folder.workspace, TMPDIR: folder.tmp, LANG: 'C.UTF-8' }
    const place = { WORKSPACE_CONFIG_PATH: folder.configs, HOST: '127.0.0.1', PORT: String(port) }
    const sessions = kept ? { SESSIONS_DIR: folder.sessions } : {}
    const child = await launch({
      run: folder.run(id),
      command: this.#options.command,
      cwd: folder.workspace,
      env: { ...basics, ...given, ...place, ...sessions, MOLECULE_WORKSPACE_URL: url },
      log: folder.log,
      guard,
    })
    this.#follow(child, folder, spec.ref, id)
    this.#feed.push(spec.ref)
    return this.#look(folder, intent)
  }

  async remove(
    ref: InstanceRef,
    volumes: 'keep' | 'delete',
    _signal?: AbortSignal,
    guard = unguarded,
  ): Promise<'requested' | 'gone'> {
    const folder = new InstanceFolder(this.#stateDir, ref.uid)
    const intent = await folder.intent()
    if (intent === undefined) {
      guard()
      if (volumes === 'delete') await folder.eraseEmpty()
      return 'gone'
    }
    if (!this.#owns(intent)) return 'gone'
    if (intent.launch !== undefined) {
      const { id } = intent.launch
      guard()
      const called = await folder.callOff(id)
      const who = called === 'claimed' ? await folder.claim(id) : undefined
      if (who !== undefined) {
        if (this.#children.has(id) || (await isAlive(who))) return this.#stop(folder, id, who, guard)
        guard()
        await signalGroup(who, 'SIGKILL')
      }
      guard()
      await folder.clearRun(id)
      this.#adopted.delete(ref.uid)
      if (volumes === 'keep') await folder.writeIntent({ operator: intent.operator, ref: intent.ref })
    }
    guard()
    if (volumes === 'delete') await folder.erase()
    return 'gone'
  }

  async resetSessions(
    { ref, sessionReset }: Pick<InstanceSpec, 'ref' | 'sessionsPath' | 'sessionReset'>,
    _signal?: AbortSignal,
    guard = unguarded,
  ): Promise<SessionReset> {
    const folder = new InstanceFolder(this.#stateDir, ref.uid)
    const intent = await folder.intent()
    if (intent === undefined || !this.#owns(intent)) return 'kept'
    const done = await folder.sessionResets()
    if (sessionReset !== undefined && done.includes(sessionReset)) return 'kept'
    guard()
    await folder.clearSessions()
    if (sessionReset !== undefined) await folder.writeSessionResets(withReset(done, sessionReset))
    return 'emptied'
  }

  async prepare(): Promise<void> {}

  async identify(): Promise<undefined> {}

  async adopt(): Promise<never> {
    throw new Terminal('AdoptionRefused', 'the process backend takes over no process that it did not start')
  }

  async disk(): Promise<readonly DiskUse[]> {
    return []
  }

  async logs(ref: InstanceRef, bytes: number): Promise<string> {
    const folder = new InstanceFolder(this.#stateDir, ref.uid)
    const intent = await folder.intent()
    return intent !== undefined && this.#owns(intent) ? folder.tail(bytes) : ''
  }

  async *owned(): AsyncIterable<OwnedInstance> {
    for await (const { folder, intent } of this.#ownFolders()) {
      if (intent.launch === undefined) continue
      const who = await folder.claim(intent.launch.id)
      yield { ref: intent.ref, id: idOf(intent.launch.id, who), createdAt: new Date(intent.launch.createdAt) }
    }
  }

  async *ownedVolumes(): AsyncIterable<InstanceRef> {
    for await (const { intent } of this.#ownFolders()) yield intent.ref
  }

  async *#ownFolders() {
    const names = await readdir(this.#stateDir).catch(() => [])
    for (const name of names) {
      if (!name.startsWith('ws-')) continue
      const folder = new InstanceFolder(this.#stateDir, name.slice('ws-'.length))
      const intent = await folder.intent()
      if (intent !== undefined && this.#owns(intent)) yield { folder, intent }
    }
  }

  async *changes(signal: AbortSignal): AsyncIterable<InstanceRef> {
    for await (const { ref } of this.owned()) this.#feed.push(ref)
    const timer = setInterval(() => void this.#pollAdopted(), pollEvery)
    try {
      yield* this.#feed.read(signal)
    } finally {
      clearInterval(timer)
    }
  }

  #owns(intent: Intent): boolean {
    return intent.operator === this.#options.operatorInstance
  }

  async #look(folder: InstanceFolder, intent: Intent): Promise<Observation> {
    if (intent.launch === undefined) return { state: 'absent' }
    const { id: launchId, specHash, port, createdAt } = intent.launch
    const who = await folder.claim(launchId)
    const id = idOf(launchId, who)
    if (who === undefined) return { state: 'created', id, specHash }
    const own = this.#children.has(launchId)
    if (!own && !(await isAlive(who))) {
      const exit = await folder.exit(launchId)
      if (exit !== undefined)
        return {
          state: 'exited',
          id,
          specHash,
          exitCode: exit.code,
          detail: exit.detail,
          finishedAt: new Date(exit.finishedAt),
        }
      const detail = 'ended while no operator watched it'
      return { state: 'exited', id, specHash, exitCode: undefined, detail, finishedAt: await folder.lastWrite() }
    }
    if (!own) this.#adopted.set(intent.ref.uid, { ref: intent.ref, who })
    if ((await folder.stoppingSince(launchId)) !== undefined) return { state: 'stopping', id }
    await folder.boundLog()
    const address = `http://127.0.0.1:${port}`
    return { state: 'running', id, address, specHash, startedAt: new Date(createdAt), imageDigest: '' }
  }

  async #stop(folder: InstanceFolder, launchId: string, who: ProcessIdentity, guard: Guard): Promise<'requested'> {
    const since = await folder.stoppingSince(launchId)
    guard()
    if (since === undefined) {
      await folder.writeStopping(launchId, new Date())
      guard()
      await signalGroup(who, 'SIGTERM')
      const end = async () => {
        guard()
        await signalGroup(who, 'SIGKILL')
      }
      setTimeout(() => void end().catch(() => {}), grace).unref()
    } else if (Date.now() - since.getTime() >= grace) await signalGroup(who, 'SIGKILL')
    return 'requested'
  }

  #follow(child: ChildProcess, folder: InstanceFolder, ref: InstanceRef, launchId: string): void {
    this.#adopted.delete(ref.uid)
    const ended = async (code: number | null, by: NodeJS.Signals | null) => {
      const who = await folder.claim(launchId)
      // What the agent started and left behind ends with it, as in a container.
      if (who !== undefined) await signalGroup(who, 'SIGKILL')
      const detail = by === null ? `exit code ${code}` : `killed by ${by}`
      await folder.writeExit(launchId, { code: code ?? undefined, detail, finishedAt: new Date().toISOString() })
    }
    const settle = (code: number | null, by: NodeJS.Signals | null) =>
      void ended(code, by)
        .catch(() => {})
        .finally(() => {
          this.#children.delete(launchId)
          this.#feed.push(ref)
        })
    this.#children.add(launchId)
    if (child.exitCode !== null || child.signalCode !== null) settle(child.exitCode, child.signalCode)
    else child.once('exit', settle)
  }

  async #pollAdopted(): Promise<void> {
    for (const [uid, { ref, who }] of this.#adopted) {
      if (await isAlive(who).catch(() => true)) continue
      this.#adopted.delete(uid)
      this.#feed.push(ref)
    }
  }
}

const idOf = (launchId: string, who: ProcessIdentity | undefined): InstanceId =>
  (who === undefined ? launchId : `pid-${who.pid}-${launchId}`) as InstanceId
