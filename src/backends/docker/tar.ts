/** Writes ustar archives: directories, files and symbolic links, all in memory. */
export interface TarEntry {
  /** Relative; a directory ends with a slash. */
  readonly path: string
  readonly content?: string | Uint8Array
  readonly link?: string
  readonly mode: number
  readonly owner: number
}

const block = 512

/** Modification times are zero: equal content gives equal bytes. Throws a RangeError on a path over ustar's 255 bytes. */
export function tarOf(entries: Iterable<TarEntry>): Buffer {
  const parts: Uint8Array[] = []
  for (const entry of entries) {
    const content = Buffer.from(entry.content ?? '')
    parts.push(headerOf(entry, content.length), content, Buffer.alloc(-content.length & (block - 1)))
  }
  return Buffer.concat([...parts, Buffer.alloc(2 * block)])
}

function headerOf({ path, link, mode, owner }: TarEntry, size: number): Buffer {
  const header = Buffer.alloc(block)
  const [prefix, name] = splitPath(path)
  const octal = (value: number, offset: number, length: number) =>
    header.write(value.toString(8).padStart(length - 1, '0'), offset, 'latin1')
  header.write(name, 0)
  octal(mode, 100, 8)
  octal(owner, 108, 8)
  octal(owner, 116, 8)
  octal(size, 124, 12)
  octal(0, 136, 12)
  header.write('        ', 148)
  header.write(path.endsWith('/') ? '5' : link === undefined ? '0' : '2', 156)
  header.write(link ?? '', 157, 100)
  header.write('ustar\u000000', 257, 'latin1')
  header.write(prefix, 345)
  octal(
    header.reduce((sum, byte) => sum + byte, 0),
    148,
    7,
  )
  return header
}

/** ustar keeps 100 bytes of name and, before a slash, 155 of prefix. */
function splitPath(path: string): [prefix: string, name: string] {
  if (Buffer.byteLength(path) <= 100) return ['', path]
  for (let slash = path.indexOf('/'); slash > 0; slash = path.indexOf('/', slash + 1)) {
    const [prefix, name] = [path.slice(0, slash), path.slice(slash + 1)]
    if (name !== '' && Buffer.byteLength(name) <= 100 && Buffer.byteLength(prefix) <= 155) return [prefix, name]
  }
  throw new RangeError(`the path "${path}" is too long for an archive`)
}
