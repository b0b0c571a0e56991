/** The Git library's way out: through http.ts, with redirects kept for the whole exchange. */
import type { GitHttpRequest, GitHttpResponse, HttpClient } from 'isomorphic-git'
import type { Http } from './http.ts'
import type { SourceLimits } from './limits.ts'
import type { GitRequest } from './source.ts'

export function gitHttp(request: GitRequest, http: Http, limits: SourceLimits, signal: AbortSignal): HttpClient {
  const { credentials } = request
  const origin = URL.parse(request.url)?.origin ?? ''
  /** Where the repository has moved to: a server redirects the first question alone, and not what is posted after it. */
  let moved: { readonly from: string; readonly to: string } | undefined

  return {
    async request({ url, method = 'GET', headers = {}, body }: GitHttpRequest): Promise<GitHttpResponse> {
      const asked = moved && url.startsWith(moved.from) ? moved.to + url.slice(moved.from.length) : url
      const sent = body && (await whole(body))
      const lists = listsRefs(method, sent)
      const answer = await http.send({
        method: method === 'POST' ? 'POST' : 'GET',
        url: asked,
        headers,
        ...(sent && { body: sent }),
        credentials,
        origin,
        maxBytes: lists ? limits.refsBytes : limits.packedBytes,
        signal,
      })
      if (answer.url !== asked) moved = moveOf(asked, answer.url) ?? moved
      return {
        url: answer.url,
        method,
        statusCode: answer.status,
        statusMessage: '',
        headers: { ...answer.headers },
        // A list that breaks off would be taken for one that has ended there.
        body: lists ? only(await whole(answer.body)) : answer.body,
      }
    },
  }
}

/** What a list of refs is made into takes many times its size, and it is made at one go. */
const listsRefs = (method: string, body: Uint8Array | undefined): boolean =>
  method !== 'POST' ||
  Buffer.from(body ?? [])
    .subarray(0, 64)
    .includes('command=ls-refs')

const question = '/info/refs?'

function moveOf(from: string, to: string): { from: string; to: string } | undefined {
  const [asked, answered] = [from.indexOf(question), to.indexOf(question)]
  return asked < 0 || answered < 0 ? undefined : { from: from.slice(0, asked), to: to.slice(0, answered) }
}

async function* only(bytes: Uint8Array): AsyncGenerator<Uint8Array, void> {
  yield bytes
}

async function whole(body: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  for await (const chunk of body) chunks.push(chunk)
  return Buffer.concat(chunks)
}
