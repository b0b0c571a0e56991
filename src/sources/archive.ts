/** Reads a tar.gz that anybody may have made. Nothing touches the disk. */
import type { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import { extract, type Extract } from 'tar-stream'
import { reasonOf } from '../errors.ts'
import { Intake, refuse, tooLarge } from './intake.ts'
import type { SourceLimits } from './limits.ts'
import { SourceError, type Files } from './source.ts'

/** What is below `folder` of the archive ("" is the top) by paths from there. Throws a SourceError. */
export async function readArchive(
  packed: Uint8Array,
  folder: string,
  limits: SourceLimits,
  signal: AbortSignal,
): Promise<Files> {
  if (packed.byteLength > limits.packedBytes) tooLarge(`the archive has more than ${limits.packedBytes} bytes`)
  const unpacking = extract()
  const files = takeEntries(unpacking, folder, limits)
  let fed = 0
  /** Small pieces, so that what a bomb unpacks to is measured before much of it is there. */
  function* pieces(): Generator<Uint8Array> {
    for (let at = 0; at < packed.byteLength; at = fed) {
      fed = Math.min(at + pieceBytes, packed.byteLength)
      yield packed.subarray(at, fed)
    }
  }
  async function* metered(unpacked: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    let bytes = 0
    for await (const chunk of unpacked) {
      bytes += chunk.byteLength
      checkSize(bytes, fed, limits)
      yield chunk
    }
  }
  try {
    // Node's pipeline takes streamx's streams, whose types only resemble Node's own.
    const sink = unpacking as unknown as Writable
    const [found] = await Promise.all([files, pipeline(pieces, createGunzip(), metered, sink, { signal })])
    if (folder !== '' && found.files.size === 0)
      throw new SourceError('SourceMissing', `the archive has no files in its folder "${folder}"`)
    return found
  } catch (error) {
    unpacking.destroy()
    // Both sides fail together; what the reader found says more than the broken pipe.
    const first = await files.then(
      () => error,
      (cause: unknown) => cause,
    )
    for (const each of [error, first]) if (each instanceof SourceError) throw each
    if (signal.aborted) throw new SourceError('SourceTooLarge', 'the archive could not be unpacked in time')
    throw new SourceError('SourceInvalid', `it is not a whole tar.gz archive: ${reasonOf(error)}`, { cause: error })
  }
}

async function takeEntries(unpacking: Extract, folder: string, limits: SourceLimits): Promise<Files> {
  const intake = new Intake(limits)
  const files = new Map<string, Uint8Array>()
  for await (const entry of unpacking) {
    const { name, type, size } = entry.header
    // Of a size that cannot be read the library makes a null, and waits for ever.
    if (!Number.isSafeInteger(size)) refuse(name, 'its size cannot be read')
    if (type === 'directory') intake.folder(name)
    else if (type === 'file' || type === 'contiguous-file') {
      const path = intake.file(name)
      const inside = path === undefined ? undefined : below(path, folder)
      if (path !== undefined && inside !== undefined && intake.keep(path, size)) {
        const chunks: Uint8Array[] = []
        for await (const chunk of entry as AsyncIterable<Uint8Array>) chunks.push(chunk)
        files.set(inside, Buffer.concat(chunks))
      }
    } else intake.skip(name, `it is ${kinds[type ?? ''] ?? 'neither a file nor a folder'}`)
    // An entry is over only when it was read to its end.
    entry.resume()
  }
  const skipped = [...intake.skipped].flatMap(([path, why]): [string, string][] => {
    const inside = below(path, folder)
    return inside === undefined ? [] : [[inside, why]]
  })
  return { files, skipped: new Map(skipped) }
}

const kinds: Readonly<Record<string, string>> = {
  link: 'a hard link',
  symlink: 'a symbolic link',
  'character-device': 'a device',
  'block-device': 'a device',
  fifo: 'a pipe',
}

/** The path from `folder` on, if it is in it. */
export function below(path: string, folder: string): string | undefined {
  if (folder === '') return path
  return path.startsWith(`${folder}/`) ? path.slice(folder.length + 1) : undefined
}

const pieceBytes = 16 * 1024

/** Throws when `unpacked` bytes out of `packed` ones are more than anybody means. */
export function checkSize(unpacked: number, packed: number, { unpackedBytes, ratio, ratioFrom }: SourceLimits): void {
  if (unpacked > unpackedBytes) tooLarge(`it unpacks to more than ${unpackedBytes} bytes`)
  if (unpacked > ratioFrom && unpacked > packed * ratio) tooLarge(`it unpacks to more than ${ratio} times its size`)
}
