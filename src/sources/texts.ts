import type { Fetched, TextFolder } from './source.ts'

/**
 * Takes the files over as texts and leaves the map empty, so that a large folder is never there twice. What is not UTF-8,
 * or holds a NUL, is a picture or the like: skipped, and named.
 */
export function asTexts({ revision, files }: Fetched, identity: string): TextFolder {
  // With its byte order mark, as a ConfigMap would hold it: from every source a file is the same.
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  const texts = new Map<string, string>()
  const skipped: string[] = []
  for (const [path, bytes] of files) {
    files.delete(path)
    try {
      if (bytes.includes(0)) skipped.push(path)
      else texts.set(path, decoder.decode(bytes))
    } catch {
      skipped.push(path)
    }
  }
  return { revision, identity, texts, skipped: skipped.sort() }
}
