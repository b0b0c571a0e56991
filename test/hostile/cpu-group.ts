/** A process in a CPU group of its own, so that what it takes itself is not taken for what it causes. */
import { access, mkdir, rmdir, writeFile } from 'node:fs/promises'
import { setPriority } from 'node:os'

/** Puts it there, and says what that came to; `leave` takes the group away once the process has ended. */
export async function loneGroup(pid: number): Promise<{ readonly said: string; readonly leave: () => Promise<void> }> {
  const groups = [
    { root: '/sys/fs/cgroup/cpu', weight: 'cpu.shares', half: '512' },
    { root: '/sys/fs/cgroup', weight: 'cpu.weight', half: '50' },
  ]
  for (const { root, weight, half } of groups) {
    const dir = `${root}/molecule-hostile-${pid}`
    try {
      await mkdir(dir)
      await access(`${dir}/${weight}`)
      await writeFile(`${dir}/${weight}`, half)
      await writeFile(`${dir}/cgroup.procs`, String(pid))
      return {
        said: `the load runs in ${dir}, ${weight} ${half}`,
        leave: () => rmdir(dir).catch(() => undefined),
      }
    } catch {
      await rmdir(dir).catch(() => undefined)
    }
  }
  setPriority(pid, 19)
  return {
    said: 'the load runs at nice 19, without a CPU group: none may be made here',
    leave: () => Promise.resolve(),
  }
}
