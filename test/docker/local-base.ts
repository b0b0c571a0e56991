/** An image with Node, npm and a shell, from files of this machine: what the Dockerfile needs of its BASE. */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, realpathSync, statSync } from 'node:fs'
import { basename, delimiter, dirname, join, relative } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type Dockerode from 'dockerode'
import { tarOf, type TarEntry } from '../../src/backends/docker/tar.ts'

const npm = 'usr/lib/node_modules/npm'

/** Imports the image unless one of this content is there; gives its reference. */
export async function localBase(docker: Dockerode): Promise<string> {
  const archive = tarOf(entries())
  const settings = environment()
  const tag = createHash('sha256').update(archive).update(settings.join('\n')).digest('hex').slice(0, 12)
  const reference = `molecule-local-base:${tag}`
  if ((await docker.listImages({ filters: { reference: [reference] } })).length > 0) return reference
  const input = new PassThrough()
  const changes = settings.map((setting) => `ENV ${setting}`)
  const imported = docker.importImage(input, { repo: 'molecule-local-base', tag, changes })
  const [output] = await Promise.all([imported, pipeline(Readable.from([archive]), input)])
  await new Promise<void>((resolve, reject) => {
    docker.modem.followProgress(output, (error) => (error ? reject(error) : resolve()))
  })
  return reference
}

function entries(): TarEntry[] {
  const programs = { 'usr/bin/node': process.execPath, 'bin/sh': '/bin/sh', 'usr/bin/env': onPath('env') }
  const libraries = new Set(Object.values(programs).flatMap((path) => linkedWith(realpathSync(path))))
  const libc = [...libraries].find((path) => basename(path).startsWith('libc.so'))
  for (const path of libc === undefined ? [] : nameServicesBeside(realpathSync(libc))) libraries.add(path)
  const file = (path: string, from: string, mode = 0o755): TarEntry => ({
    path,
    content: readFileSync(from),
    mode,
    owner: 0,
  })
  const folder = (path: string, mode = 0o755): TarEntry => ({ path, mode, owner: 0 })
  const certificates = '/etc/ssl/certs/ca-certificates.crt'
  return [
    ...['etc/', 'bin/', 'usr/bin/', 'root/'].map((path) => folder(path)),
    folder('tmp/', 0o1777),
    ...Object.entries(programs).map(([path, from]) => file(path, realpathSync(from))),
    ...[...libraries].toSorted().map((path) => file(path.slice(1), path)),
    ...(existsSync(certificates) ? [file(certificates.slice(1), certificates, 0o644)] : []),
    { path: 'etc/passwd', content: 'root:x:0:0:root:/root:/bin/sh\n', mode: 0o644, owner: 0 },
    { path: 'etc/nsswitch.conf', content: 'hosts: files dns\n', mode: 0o644, owner: 0 },
    ...npmFiles(),
    { path: 'usr/bin/npm', link: `../../${npm}/bin/npm-cli.js`, mode: 0o777, owner: 0 },
  ]
}

/** Shared libraries and the loader, by the paths the loader knows. */
function linkedWith(program: string): string[] {
  const listing = execFileSync('ldd', [program], { encoding: 'utf8' })
  return listing.split('\n').flatMap((line) => /(\/\S+) \(0x/.exec(line)?.[1] ?? [])
}

/** The C library loads these by name when a host is looked up. */
function nameServicesBeside(libc: string): string[] {
  const folder = dirname(libc)
  return readdirSync(folder)
    .filter((name) => /^lib(nss_(files|dns)|resolv)\.so/.test(name))
    .map((name) => join(folder, name))
}

function npmFiles(): TarEntry[] {
  const from = dirname(dirname(realpathSync(onPath('npm'))))
  return readdirSync(from, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => !/\/(man|docs)\//.test(relative(from, path)))
    .map((path) => ({
      path: join(npm, relative(from, path)),
      content: readFileSync(path),
      mode: statSync(path).mode & 0o777,
      owner: 0,
    }))
}

/** What this machine needs to reach its package registry, the image needs, too. */
function environment(): string[] {
  const names = ['NODE_EXTRA_CA_CERTS', 'SSL_CERT_FILE', 'npm_config_registry', 'NPM_CONFIG_REGISTRY']
  return ['PATH=/usr/bin:/bin', ...names.flatMap((name) => (process.env[name] ? [`${name}=${process.env[name]}`] : []))]
}

function onPath(program: string): string {
  const found = (process.env['PATH'] ?? '')
    .split(delimiter)
    .map((folder) => join(folder, program))
    .find((path) => existsSync(path))
  if (found === undefined) throw new Error(`no ${program} on PATH: a local base image cannot be made`)
  return found
}
