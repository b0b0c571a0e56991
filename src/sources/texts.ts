import type { Fetched, TextFolder } from './source.ts'

const notText = 'it is not UTF-8 text'

/** The whole first line of what Git has instead of a file that LFS keeps elsewhere. */
const lfs = 'version https://git-lfs.github.com/spec/v1\n'

/**
 * Takes the files over as texts and leaves the map empty, so that a large folder is never there twice. What is not UTF-8,
 * or holds a NUL, is a picture or the like: skipped, and named.
 */
export function asTexts({ revision, files, skipped: before }: Fetched, identity: string): TextFolder {
  // With its byte order mark, as a ConfigMap would hold it: from every source a file is the same.
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  const texts = new Map<string, string>()
  const skipped = [...before]
  const skip = (path: string, why: string) => skipped.push([path, why])
  for (const [path, bytes] of files) {
    files.delete(path)
    try {
      const text = bytes.includes(0) ? undefined : decoder.decode(bytes)
      if (text === undefined) skip(path, notText)
      else if (text.startsWith(lfs)) skip(path, 'it is a pointer of Git LFS: the file itself is kept elsewhere')
      else texts.set(path, text)
    } catch {
      skip(path, notText)
    }
  }
  return { revision, identity, texts, skipped: new Map(skipped.sort(([a], [b]) => (a < b ? -1 : 1))) }
}
