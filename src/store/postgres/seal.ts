/** Secrets in rows: AES-256-GCM, version 1. What is sealed for one place opens in no other. */
import { createCipheriv, createDecipheriv, createHmac, createSecretKey, randomBytes } from 'node:crypto'

/** `encryption_version` of what this file seals; 0 stands for nothing sealed. */
export const sealVersion = 1

export interface Seal {
  /** Another text each time: nonce (12 bytes), ciphertext, tag (16). */
  seal(text: string, place: string): Buffer
  /** Throws when the text was sealed with another key or for another place, or was changed. */
  open(sealed: Buffer, place: string): string
  /** The same for the same text and key, and tells nothing without the key: whether a sealed text differs. */
  digest(text: string, place: string): Buffer
}

/** `key`: 32 bytes. */
export function createSeal(key: Buffer): Seal {
  const secret = createSecretKey(key)
  const digests = createSecretKey(createHmac('sha256', secret).update('digest').digest())
  return {
    seal(text, place) {
      const nonce = randomBytes(12)
      const cipher = createCipheriv('aes-256-gcm', secret, nonce).setAAD(Buffer.from(place))
      return Buffer.concat([nonce, cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()])
    },
    open(sealed, place) {
      const decipher = createDecipheriv('aes-256-gcm', secret, sealed.subarray(0, 12))
        .setAAD(Buffer.from(place))
        .setAuthTag(sealed.subarray(-16))
      return Buffer.concat([decipher.update(sealed.subarray(12, -16)), decipher.final()]).toString('utf8')
    },
    digest: (text, place) => createHmac('sha256', digests).update(`${place}\n${text}`).digest(),
  }
}
