/**
 * How Node is to run the operator, however it was started. Three things are fixed at a process's own start and cost more
 * than all the objects of a large cluster: V8's young generation (left alone it grows to 128 MB in the first burst and
 * never shrinks), the C library's heaps (one for each of eleven threads), and the type stripper (27 MB for life, in a
 * process that has used it; one that finds the code in Node's compile cache never loads it).
 */
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const flags = ['--max-semi-space-size=8', '--expose-gc']

/**
 * Replaces this process by one that runs as it should: same pid, same files, same streams. Does not return then; returns
 * when nothing needs to be done, or the platform cannot.
 */
export function beginAgain(): void {
  const { execArgv, execPath, argv, env } = process
  const done = execArgv.some((flag) => flag.startsWith('--max-semi-space-size'))
  if (done || process.platform === 'win32' || !('execve' in process)) return
  const settings = {
    NODE_COMPILE_CACHE: join(tmpdir(), 'molecule-operator-compile-cache'),
    // Large buffers come from pages of their own and go back at once, instead of leaving holes.
    MALLOC_ARENA_MAX: '2',
    MALLOC_MMAP_THRESHOLD_: '131072',
    MALLOC_TRIM_THRESHOLD_: '131072',
    ...env,
  }
  process.execve(execPath, [execPath, ...execArgv, ...flags, ...argv.slice(1)], settings)
}
