import type { HostFolder, InstanceRef } from '../backend.ts'
import { Terminal } from '../../errors.ts'
import { baseOf, folderFault, type Base } from '../host-folder.ts'
import { instanceName } from '../names.ts'
import type { Engine, Write } from './engine.ts'
import { engineMessage, failureOf } from './errors.ts'
import { label, marks } from './ownership.ts'

const mountPoint = '/root-of-folder'

interface Asked {
  readonly ref: InstanceRef
  readonly folder: HostFolder
  /** Any image that is there: nothing of it is run. */
  readonly image: string
}

const refused = (path: string, why: string): Terminal =>
  new Terminal('HostAccessRefused', `spec.workspaceDir "${path}" ${why}`)

/** The base that has the folder. Throws `Terminal` when there is none for this namespace, or when it is the system's. */
export function allowedBase({ path }: HostFolder, namespace: string, bases: readonly Base[]): Base {
  const fault = folderFault(path)
  if (fault !== undefined) throw refused(path, fault)
  const base = baseOf(path, namespace, bases)
  if (base !== undefined) return base
  const own = bases.map((each) => `${each}/${namespace}`)
  const allowed = bases.length === 0 ? 'no folder is' : `only a folder directly in ${own.join(' or ')} is`
  throw refused(path, `is not allowed in this operator: ${allowed}`)
}

/**
 * Follows the path on the engine's host, which need not be ours, and throws `Terminal` when it leads through a link or
 * to something that is no folder. A container that is made and never started is asked what it sees. A change after that
 * is not seen, and the engine does not tell which device and inode it mounted: so no agent is given a folder in which
 * another's lies, nor one that holds such folders (`baseOf`).
 */
export async function assertFolder(engine: Engine, base: Base, asked: Asked, write: Write): Promise<void> {
  const { ref, folder, image } = asked
  const name = `${instanceName(ref.uid)}-folder`
  const body = {
    Image: image,
    Cmd: ['-'],
    Labels: { ...marks(engine.operator, ref), [label.helper]: 'folder' },
    HostConfig: {
      NetworkMode: 'none',
      Mounts: [{ Type: 'bind', Source: base, Target: mountPoint, ReadOnly: true } as const],
    },
  }
  const helper = await createAnew(engine, name, body, write).catch((error: unknown) => {
    throw failureOf(error) === 'refused'
      ? refused(folder.path, `has no folder above it: ${engineMessage(error)}`)
      : error
  })
  try {
    const parts = folder.path.slice(base.length).split('/').filter(Boolean)
    for (let depth = 0; depth < parts.length; depth++) {
      const part = parts.slice(0, depth + 1).join('/')
      const kind = await engine.kindOf(helper, `${mountPoint}/${part}`, write.signal)
      if (kind !== 'folder')
        throw refused(folder.path, `is not a folder of the Docker host: "${base}/${part}" is ${kind}`)
    }
  } finally {
    await engine.removeContainer(helper, write)
  }
}

/** A crash may have left one of that name, which is ours: it may stand for another base. */
async function createAnew(...[engine, name, body, write]: Parameters<typeof create>): Promise<string> {
  try {
    return await create(engine, name, body, write)
  } catch (error) {
    if (failureOf(error) !== 'conflict') throw error
    const left = await engine.inspect(name, write.signal)
    if (left?.Config.Labels[label.operator] !== engine.operator) throw error
    await engine.removeContainer(left.Id, write)
    return create(engine, name, body, write)
  }
}

const create = (engine: Engine, name: string, body: Parameters<Engine['create']>[1], write: Write) =>
  engine.create(name, body, undefined, write)
