/** A real Git server on loopback: git's own http-backend behind a small HTTP server, with a password if one is given. */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll } from 'vitest'
import type { Certificate } from './certificate.ts'

const run = promisify(execFile)

export interface GitServer {
  /** `http://127.0.0.1:<port>`, or https. */
  readonly origin: string
  /** Requests so far: method, path, and what they carried as authorization. */
  readonly requests: { method: string; url: string; authorization: string | undefined }[]
  /** Answers instead of Git when it returns true. */
  intercept: ((request: IncomingMessage, response: ServerResponse) => boolean) | undefined
  /** `Basic …` or `Bearer …` that every request must carry. */
  authorization: string | undefined
  repository(name: string): Promise<GitRepository>
}

/** Starts one, with TLS where it is given a certificate; stopped after the file. */
export async function startGitServer(certificate?: Certificate): Promise<GitServer> {
  const root = await mkdtemp(join(tmpdir(), 'molecule-test-git-'))
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    const { method = '', url = '', headers } = request
    git.requests.push({ method, url, authorization: headers.authorization })
    if (git.intercept?.(request, response)) return
    if (git.authorization !== undefined && headers.authorization !== git.authorization) {
      response.writeHead(401, { 'www-authenticate': 'Basic realm="git"' }).end('who are you?')
      return
    }
    serve(root, request, response)
  }
  const server = certificate === undefined ? createServer(answer) : createTlsServer({ ...certificate }, answer)
  // Who keeps a connection closes it, too: else a fetch may be sent on one that is being closed.
  server.keepAliveTimeout = 0
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const git: GitServer = {
    origin: `${certificate === undefined ? 'http' : 'https'}://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests: [],
    intercept: undefined,
    authorization: undefined,
    async repository(name) {
      const dir = join(root, name)
      await run('git', ['init', '-q', '--bare', '-b', 'main', dir])
      return new GitRepository(dir, `${git.origin}/${name}`)
    },
  }
  afterAll(async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
    await rm(root, { recursive: true, force: true })
  })
  return git
}

/** CGI: RFC 3875. */
function serve(root: string, request: IncomingMessage, response: ServerResponse): void {
  const { pathname, search } = new URL(request.url ?? '/', 'http://here')
  const { headers } = request
  const child = spawn('git', ['http-backend'], {
    env: {
      PATH: process.env['PATH'],
      GIT_PROJECT_ROOT: root,
      GIT_HTTP_EXPORT_ALL: '1',
      GIT_PROTOCOL: String(headers['git-protocol'] ?? ''),
      REQUEST_METHOD: request.method,
      PATH_INFO: pathname,
      QUERY_STRING: search.slice(1),
      CONTENT_TYPE: headers['content-type'] ?? '',
      CONTENT_LENGTH: headers['content-length'] ?? '',
    },
    stdio: ['pipe', 'pipe', 'ignore'],
  })
  child.stdin.on('error', () => undefined)
  request.pipe(child.stdin)
  let head = Buffer.alloc(0)
  child.stdout.on('data', (chunk: Buffer) => {
    if (response.headersSent) return void response.write(chunk)
    head = Buffer.concat([head, chunk])
    const end = head.indexOf('\r\n\r\n')
    if (end < 0) return
    const lines = head.toString('latin1', 0, end).split('\r\n')
    const fields = new Map(
      lines.map((line) => [line.split(':')[0]?.toLowerCase() ?? '', line.replace(/^[^:]*: */, '')]),
    )
    const status = Number.parseInt(fields.get('status') ?? '200', 10)
    fields.delete('status')
    response.writeHead(status, Object.fromEntries(fields))
    response.write(head.subarray(end + 4))
  })
  child.on('close', () => response.end())
}

export interface TreeEntry {
  readonly mode: '40000' | '100644' | '120000' | '160000'
  readonly name: string | Buffer
  readonly oid: string
}

/** A bare repository, written with git's plumbing: it takes what no working copy could hold. */
export class GitRepository {
  readonly dir: string
  readonly url: string
  readonly #blobs = new Map<string, Promise<string>>()

  constructor(dir: string, url: string) {
    this.dir = dir
    this.url = url
  }

  async git(args: readonly string[], input: string | Buffer = ''): Promise<string> {
    const child = spawn('git', ['-C', this.dir, ...args], { stdio: ['pipe', 'pipe', 'pipe'] })
    const chunks: Buffer[] = []
    const complaints: Buffer[] = []
    child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk))
    child.stderr.on('data', (chunk: Buffer) => complaints.push(chunk))
    // Those that read nothing may be gone already.
    child.stdin.on('error', () => undefined)
    child.stdin.end(input)
    const [code] = (await once(child, 'close')) as [number]
    if (code !== 0) throw new Error(`git ${args.join(' ')}: ${Buffer.concat(complaints).toString()}`)
    return Buffer.concat(chunks).toString().trim()
  }

  async blob(content: string | Buffer): Promise<string> {
    const key = content.toString('latin1')
    const oid = this.#blobs.get(key) ?? this.git(['hash-object', '-w', '--stdin'], content)
    this.#blobs.set(key, oid)
    return await oid
  }

  /** Whatever the entries say: git itself would refuse many of them. */
  async tree(entries: readonly TreeEntry[]): Promise<string> {
    const parts = entries.flatMap(({ mode, name, oid }) => [
      Buffer.from(`${mode} `),
      Buffer.from(name),
      Buffer.from([0]),
      Buffer.from(oid, 'hex'),
    ])
    return await this.git(['hash-object', '-t', 'tree', '-w', '--stdin', '--literally'], Buffer.concat(parts))
  }

  /** Makes a commit of the tree the head of `branch`. */
  async commit(tree: string, branch = 'main', sign: readonly string[] = []): Promise<string> {
    const who = ['-c', 'user.name=Test', '-c', 'user.email=test@example.com']
    const commit = await this.git([
      ...who,
      ...sign,
      'commit-tree',
      tree,
      ...(sign.length > 0 ? ['-S'] : []),
      '-m',
      'A commit',
    ])
    await this.git(['update-ref', `refs/heads/${branch}`, commit])
    return commit
  }

  /** A tree of folders from paths to contents. */
  async treeOf(files: Readonly<Record<string, string | Buffer>>): Promise<string> {
    const folders = new Map<string, Record<string, string | Buffer>>()
    const entries: TreeEntry[] = []
    for (const [path, content] of Object.entries(files)) {
      const [first = '', ...rest] = path.split('/')
      if (rest.length === 0) entries.push({ mode: '100644', name: first, oid: await this.blob(content) })
      else folders.set(first, { ...folders.get(first), [rest.join('/')]: content })
    }
    for (const [name, inner] of folders) entries.push({ mode: '40000', name, oid: await this.treeOf(inner) })
    return await this.tree(entries.toSorted((a, b) => (String(a.name) < String(b.name) ? -1 : 1)))
  }

  async commitFiles(files: Readonly<Record<string, string | Buffer>>, branch = 'main'): Promise<string> {
    return await this.commit(await this.treeOf(files), branch)
  }
}
