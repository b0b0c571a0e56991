/**
 * An image that runs Node, made of files of this machine alone: nothing is pulled. The node binary, the libraries it
 * is linked with and those that resolve names, a user without rights, and the program.
 */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { PassThrough, Readable } from 'node:stream'
import type Dockerode from 'dockerode'
import { tarOf, type TarEntry } from '../backends/docker/tar.ts'

interface NodeImage {
  readonly docker: Dockerode
  /** Repository of the tag; the tag itself is a digest of the content. */
  readonly name: string
  /** The program, which runs as `node /app/agent.mjs`. */
  readonly program: string
}

const user = 1000
const accounts = {
  'etc/passwd': `root:x:0:0:root:/:/nologin\nagent:x:${user}:${user}:agent:/home/agent:/nologin\n`,
  'etc/group': `root:x:0:\nagent:x:${user}:\n`,
  'etc/nsswitch.conf': 'hosts: files dns\npasswd: files\ngroup: files\n',
}

/** The demo's agent as an image; gives back its reference. A second call finds what the first made. */
export function buildAgentImage({
  docker,
  name = 'molecule-agent',
}: {
  docker: Dockerode
  name?: string
}): Promise<string> {
  const path = join(import.meta.dirname, '../../examples/agent/agent.mjs')
  return buildNodeImage({ docker, name, program: readFileSync(path, 'utf8') })
}

/** Imports the image when no image of this content is there. Throws when this Node cannot be packed. */
export async function buildNodeImage({ docker, name, program }: NodeImage): Promise<string> {
  const entries = entriesOf(program)
  const reference = `${name}:${digestOf(entries)}`
  const there = await docker.listImages({ filters: { reference: [reference] } })
  if (there.length > 0) return reference
  const [repo, tag] = [name, reference.slice(name.length + 1)]
  const changes = [
    'CMD ["/usr/bin/node","/app/agent.mjs"]',
    `USER ${user}:${user}`,
    'WORKDIR /app',
    'ENV HOME=/home/agent',
  ]
  const labels = ['LABEL molecule.dev/image=agent']
  const archive = new PassThrough()
  const imported = docker.importImage(archive, { repo, tag, changes: [...changes, ...labels] })
  const [stream] = await Promise.all([imported, pipeline(Readable.from([tarOf(entries)]), archive)])
  await new Promise<void>((resolve, reject) => {
    docker.modem.followProgress(stream, (error) => (error ? reject(error) : resolve()))
  })
  return reference
}

function entriesOf(program: string): TarEntry[] {
  if (process.platform !== 'linux') throw new Error('an image can be made of local files on Linux alone')
  const libraries = linkedWith(process.execPath)
  const libc = libraries.find((path) => basename(path).startsWith('libc.so'))
  const nss = libc === undefined ? [] : nameServicesIn(dirname(realpathSync(libc)))
  const folder = (path: string, owner: number, mode = 0o755): TarEntry => ({ path, owner, mode })
  const file = (path: string, content: string | Uint8Array, mode: number): TarEntry => ({
    path,
    content,
    mode,
    owner: 0,
  })
  return [
    ...['app/', 'etc/', 'usr/bin/'].map((path) => folder(path, 0)),
    ...['configs/', 'workspace/', 'home/agent/'].map((path) => folder(path, user)),
    folder('tmp/', 0, 0o1777),
    ...Object.entries(accounts).map(([path, content]) => file(path, content, 0o644)),
    ...[...new Set([...libraries, ...nss])].sort().map((path) => file(path.slice(1), readFileSync(path), 0o755)),
    file('usr/bin/node', readFileSync(process.execPath), 0o755),
    file('app/agent.mjs', program, 0o644),
  ]
}

/** Paths as the loader knows them, the loader's own among them. */
function linkedWith(binary: string): string[] {
  const listing = execFileSync('ldd', [binary], { encoding: 'utf8' })
  return listing.split('\n').flatMap((line) => /(?:=> )?(\/\S+) \(0x/.exec(line)?.[1] ?? [])
}

/** Loaded by name when a host is looked up, so that ldd does not know them. */
const nameServicesIn = (folder: string): string[] =>
  readdirSync(folder)
    .filter((file) => /^lib(nss_(files|dns)|resolv)\.so/.test(file))
    .map((file) => join(folder, file))
    .filter((path) => existsSync(path))

function digestOf(entries: readonly TarEntry[]): string {
  const hash = createHash('sha256')
  for (const { path, mode, owner, content = '' } of entries) hash.update(`${path} ${mode} ${owner}\n`).update(content)
  return hash.digest('hex').slice(0, 12)
}
