/** As much of a file system as the Git library asks for, in memory and for one fetch. */
import type { PromiseFsClient } from 'isomorphic-git'

type Stats = { isFile(): boolean; isDirectory(): boolean; isSymbolicLink(): boolean; size: number }

/** `take` gets the pack that would be written. */
export function memoryFolder(take: (pack: Buffer) => void): PromiseFsClient {
  const files = new Map<string, Buffer>()
  const isFolder = (path: string) => path === '/' || files.keys().some((each) => each.startsWith(`${path}/`))
  const missing = (path: string): never => {
    throw Object.assign(new Error(`ENOENT: ${path}`), { code: 'ENOENT' })
  }
  const stat = async (path: string): Promise<Stats> => {
    const file = files.get(path)
    if (file === undefined && !isFolder(path)) missing(path)
    return {
      isFile: () => file !== undefined,
      isDirectory: () => file === undefined,
      isSymbolicLink: () => false,
      size: file?.length ?? 0,
    }
  }
  const promises = {
    stat,
    lstat: stat,
    async readFile(path: string, options?: { encoding?: BufferEncoding } | BufferEncoding) {
      const found = files.get(path) ?? missing(path)
      const encoding = typeof options === 'string' ? options : options?.encoding
      return encoding === undefined ? found : found.toString(encoding)
    },
    async writeFile(path: string, data: Uint8Array | string) {
      const bytes =
        typeof data === 'string' ? Buffer.from(data) : Buffer.from(data.buffer, data.byteOffset, data.byteLength)
      if (path.endsWith('.pack')) take(bytes)
      else files.set(path, bytes)
    },
    async readdir(path: string) {
      const names = [...files.keys()].filter((each) => each.startsWith(`${path}/`))
      return [...new Set(names.map((each) => each.slice(path.length + 1).split('/')[0] ?? ''))]
    },
    async unlink(path: string) {
      if (!files.delete(path)) missing(path)
    },
    // Folders are there when something is in them.
    async mkdir() {},
    async rmdir() {},
    readlink: async (path: string) => missing(path),
    symlink: async (_target: string, path: string) => missing(path),
  }
  return { promises }
}
