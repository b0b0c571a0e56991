/** The rig's own way to the API server: a keep-alive pool and nothing else, so that the bounds are bounds. */
import { Pool } from 'undici'
import { group, version } from '../src/api/meta.ts'

/** How to reach an API server: PEM texts, as a kubeconfig with client certificates holds them. */
export interface Credentials {
  readonly server: string
  readonly ca: string
  readonly cert: string
  readonly key: string
}

export const namespace = 'bench'
const workspaces = `/apis/${group}/${version}/namespaces/${namespace}/workspaces`

/** What the rig reads of a Workspace. */
export interface Seen {
  readonly metadata: { readonly name: string; readonly generation: number; readonly resourceVersion: string }
  readonly spec: { readonly displayName?: string }
  readonly status?: {
    readonly observedGeneration?: number
    readonly conditions?: readonly { readonly type: string; readonly status: string }[]
  }
}

export class Api {
  readonly #pool: Pool

  constructor(credentials: Credentials, connections: number) {
    const { ca, cert, key } = credentials
    this.#pool = new Pool(credentials.server, {
      connections,
      pipelining: 1,
      bodyTimeout: 0,
      connect: { ca, cert, key },
    })
  }

  /** Sends one request and gives the body's text. Throws when the answer is not 2xx. */
  async send(method: 'GET' | 'POST' | 'PATCH' | 'DELETE', path: string, body?: unknown): Promise<string> {
    const answer = await this.#pool.request({
      method,
      path,
      headers: { 'content-type': method === 'PATCH' ? 'application/merge-patch+json' : 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = await answer.body.text()
    if (answer.statusCode >= 300) throw new Error(`${method} ${path}: ${answer.statusCode} ${text.slice(0, 500)}`)
    return text
  }

  async create(manifest: object): Promise<void> {
    await this.send('POST', workspaces, manifest)
  }

  /** Edits the spec; gives the new generation. */
  async edit(name: string, displayName: string): Promise<number> {
    const text = await this.send('PATCH', `${workspaces}/${name}`, { spec: { displayName } })
    return (JSON.parse(text) as Seen).metadata.generation
  }

  async patchStatus(name: string, status: object): Promise<void> {
    await this.send('PATCH', `${workspaces}/${name}/status`, { status })
  }

  async read(name: string): Promise<Seen> {
    return JSON.parse(await this.send('GET', `${workspaces}/${name}`)) as Seen
  }

  /** Every Workspace, by pages of 500, parsed as an operator must. */
  async list(): Promise<{ readonly items: readonly Seen[]; readonly resourceVersion: string }> {
    const items: Seen[] = []
    let token = ''
    for (;;) {
      const page = JSON.parse(
        await this.send('GET', `${workspaces}?limit=500${token && `&continue=${encodeURIComponent(token)}`}`),
      ) as { metadata: { continue?: string; resourceVersion: string }; items: Seen[] }
      items.push(...page.items)
      token = page.metadata.continue ?? ''
      if (token === '') return { items, resourceVersion: page.metadata.resourceVersion }
    }
  }

  /** One watch from a version on: ends when the server ends it. */
  async *watch(resourceVersion: string, signal: AbortSignal): AsyncGenerator<{ type: string; object: Seen }> {
    const answer = await this.#pool.request({
      method: 'GET',
      path: `${workspaces}?watch=1&allowWatchBookmarks=true&resourceVersion=${resourceVersion}`,
      signal,
    })
    if (answer.statusCode !== 200) throw new Error(`watch: ${answer.statusCode} ${await answer.body.text()}`)
    let rest = ''
    for await (const chunk of answer.body.setEncoding('utf8')) {
      const lines = (rest + String(chunk)).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) yield JSON.parse(line) as { type: string; object: Seen }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool.close()
  }
}
