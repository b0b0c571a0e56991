import { finalizer, keyOf, type KubeObject } from '../api/meta.ts'
import type { Client, ResourceType } from './client.ts'
import { KubeError } from './kube-error.ts'

export const hasFinalizer = (object: KubeObject): boolean => object.metadata.finalizers?.includes(finalizer) === true

/**
 * Puts our finalizer on the object, before anything is made for it; no request when it is there from birth. Throws a
 * conflict when someone else changed the object since, and NotFound when it is gone: then nothing may be made.
 */
export async function claim<T extends KubeObject>(client: Client, type: ResourceType<T>, object: T): Promise<void> {
  if (hasFinalizer(object)) return
  await replaceFinalizers(client, type, object, [...(object.metadata.finalizers ?? []), finalizer])
}

/** Takes our finalizer off; the object may be gone with it. Gone already is success; a lost race is thrown. */
export async function release<T extends KubeObject>(client: Client, type: ResourceType<T>, object: T): Promise<void> {
  if (!hasFinalizer(object)) return
  const others = (object.metadata.finalizers ?? []).filter((name) => name !== finalizer)
  try {
    await replaceFinalizers(client, type, object, others)
  } catch (error) {
    if (!(error instanceof KubeError && error.isNotFound)) throw error
  }
}

/** A merge patch replaces the whole list, so it may only be sent against the version whose list we read. */
async function replaceFinalizers<T extends KubeObject>(
  client: Client,
  type: ResourceType<T>,
  object: T,
  finalizers: readonly string[],
): Promise<void> {
  const { uid, resourceVersion } = object.metadata
  await client.mergePatch(type, keyOf(object), { metadata: { uid, resourceVersion, finalizers } })
}
