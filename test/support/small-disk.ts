/** A disk of a few megabytes that can be filled to its last byte. */
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { closeSync, mkdirSync, openSync, rmdirSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface SmallDisk {
  readonly path: string
  fill(): void
  /** Gives back what `fill` took. */
  free(): void
  remove(): void
}

/** Undefined where none may be mounted: only root may, and not in every container. */
export function mountSmallDisk(mebibytes: number): SmallDisk | undefined {
  const path = join(tmpdir(), `molecule-test-disk-${randomBytes(4).toString('hex')}`)
  mkdirSync(path)
  try {
    const size = `size=${String(mebibytes)}m,mode=755`
    execFileSync('mount', ['-t', 'tmpfs', '-o', size, 'molecule-test', path], { stdio: 'ignore' })
  } catch {
    rmdirSync(path)
    return undefined
  }
  const ballast = join(path, 'ballast')
  return {
    path,
    fill() {
      const file = openSync(ballast, 'a')
      // By the mebibyte, then by the page.
      for (const bytes of [2 ** 20, 2 ** 12])
        try {
          for (;;) writeSync(file, Buffer.alloc(bytes, 'x'))
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
        }
      closeSync(file)
    },
    free: () => rmSync(ballast, { force: true }),
    remove() {
      execFileSync('umount', ['--lazy', path])
      rmdirSync(path)
    },
  }
}
