import { gzipSync } from 'node:zlib'
import { pack, type Header } from 'tar-stream'

/** An entry of an archive; anything a header can say, so that hostile ones can be made. */
export type ArchiveEntry = Partial<Header> & { readonly name: string; readonly content?: string | Buffer }

export async function tarGzOf(entries: readonly ArchiveEntry[]): Promise<Buffer> {
  const archive = pack()
  for (const { content = '', ...header } of entries) archive.entry(header, content)
  archive.finalize()
  const chunks: Uint8Array[] = []
  for await (const chunk of archive as AsyncIterable<Uint8Array>) chunks.push(chunk)
  return gzipSync(Buffer.concat(chunks))
}

/** An archive of files by their paths. */
export const archiveOf = (files: Readonly<Record<string, string | Buffer>>): Promise<Buffer> =>
  tarGzOf(Object.entries(files).map(([name, content]) => ({ name, content })))
