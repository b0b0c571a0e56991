/**
 * Checks that a commit was signed by one of the keys that an import trusts. SSH signatures, as `git commit -S` makes them
 * with gpg.format=ssh; the format is PROTOCOL.sshsig of OpenSSH. Other kinds are refused, never passed over.
 */
import { createHash, createPublicKey, verify, type KeyObject } from 'node:crypto'
import { SourceError } from './source.ts'

/** Throws a SourceError unless the commit, as Git stores it, carries the signature of a trusted key. */
export function verifyCommit(commit: Uint8Array, signers: string): void {
  const { signature, payload } = taken(Buffer.from(commit).toString('latin1'))
  if (signature === '') refuse('the commit is not signed')
  const armor = /-----BEGIN SSH SIGNATURE-----([A-Za-z0-9+/=\s]+)-----END SSH SIGNATURE-----/.exec(signature)
  if (!armor?.[1]) return refuse('the commit is not signed by an SSH key: no other signatures are checked')
  const keys = keysOf(signers)
  if (keys.size === 0) refuse('the Secret of verify has no public key that can be read: ssh-ed25519, ecdsa or rsa')
  const outer = new Reader(Buffer.from(armor[1], 'base64'))
  if (outer.take(6).toString('latin1') !== 'SSHSIG' || outer.number() !== 1) refuse('the signature cannot be read')
  const key = outer.text().toString('base64')
  const [namespace, reserved, hash] = [outer.text(), outer.text(), outer.text().toString('latin1')]
  if (namespace.toString('latin1') !== 'git') refuse('the signature is not one of a commit')
  if (hash !== 'sha256' && hash !== 'sha512') refuse('the signature uses a hash that is not accepted')
  const trusted = keys.get(key) ?? refuse('the commit is signed by a key that is not trusted')
  const signed = Buffer.concat([
    Buffer.from('SSHSIG'),
    ...[namespace, reserved, Buffer.from(hash), createHash(hash).update(payload).digest()].map(framed),
  ])
  const inner = new Reader(outer.text())
  if (!holds(trusted, inner.text().toString('latin1'), inner.text(), signed))
    refuse('the signature does not fit the commit')
}

/** A commit without its signature headers, each of which goes on in lines that begin with a space: that was signed. */
function taken(commit: string): { signature: string; payload: Buffer } {
  const end = commit.indexOf('\n\n')
  const signature: string[] = []
  const rest: string[] = []
  let within = ''
  for (const line of commit.slice(0, end).split('\n')) {
    within = line.startsWith(' ') ? within : (line.split(' ')[0] ?? '')
    if (within === 'gpgsig') signature.push(line.replace(/^(gpgsig)? /, ''))
    else if (within !== 'gpgsig-sha256') rest.push(line)
  }
  return { signature: signature.join('\n'), payload: Buffer.from(rest.join('\n') + commit.slice(end), 'latin1') }
}

const refuse = (why: string): never => {
  throw new SourceError('VerificationFailed', why)
}

/** Reads the wire format of SSH: lengths before contents. */
class Reader {
  readonly #from: Buffer
  #at = 0

  constructor(from: Buffer) {
    this.#from = from
  }

  take(length: number): Buffer {
    if (this.#at + length > this.#from.length) refuse('the signature is cut off')
    return this.#from.subarray(this.#at, (this.#at += length))
  }

  number(): number {
    return this.take(4).readUInt32BE()
  }

  text(): Buffer {
    return this.take(this.number())
  }
}

const framed = (bytes: Buffer): Buffer => {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(bytes.length)
  return Buffer.concat([length, bytes])
}

/** Public keys by their wire form in base64: lines of authorized_keys or allowed_signers, options before the type. */
function keysOf(signers: string): Map<string, KeyObject> {
  const keys = new Map<string, KeyObject>()
  for (const line of signers.split('\n')) {
    if (line.trimStart().startsWith('#')) continue
    const [, wire] = /(?:^|\s)(?:ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp\d+)\s+([A-Za-z0-9+/]+=*)/.exec(line) ?? []
    const key = wire === undefined ? undefined : readable(Buffer.from(wire, 'base64'))
    if (wire !== undefined && key !== undefined) keys.set(wire, key)
  }
  return keys
}

/** A line that is no key trusts nobody. */
function readable(wire: Buffer): KeyObject | undefined {
  try {
    return keyOf(wire)
  } catch {
    return undefined
  }
}

const curves: Readonly<Record<string, { name: string; bytes: number }>> = {
  nistp256: { name: 'P-256', bytes: 32 },
  nistp384: { name: 'P-384', bytes: 48 },
  nistp521: { name: 'P-521', bytes: 66 },
}

function keyOf(wire: Buffer): KeyObject | undefined {
  const reader = new Reader(wire)
  const type = reader.text().toString('latin1')
  const plain = (number: Buffer) => (number[0] === 0 ? number.subarray(1) : number).toString('base64url')
  const made = (jwk: Record<string, string>) => createPublicKey({ format: 'jwk', key: jwk })
  if (type === 'ssh-ed25519') return made({ kty: 'OKP', crv: 'Ed25519', x: reader.text().toString('base64url') })
  if (type === 'ssh-rsa') {
    const [e, n] = [plain(reader.text()), plain(reader.text())]
    return made({ kty: 'RSA', e, n })
  }
  const curve = curves[reader.text().toString('latin1')]
  if (curve === undefined) return undefined
  const point = reader.text().subarray(1)
  const [x, y] = [point.subarray(0, curve.bytes), point.subarray(curve.bytes)].map((each) => each.toString('base64url'))
  return made({ kty: 'EC', crv: curve.name, x: x ?? '', y: y ?? '' })
}

function holds(key: KeyObject, kind: string, signature: Buffer, signed: Buffer): boolean {
  switch (kind) {
    case 'ssh-ed25519':
      return key.asymmetricKeyType === 'ed25519' && verify(null, signed, key, signature)
    case 'rsa-sha2-256':
    case 'rsa-sha2-512':
      return key.asymmetricKeyType === 'rsa' && verify(kind.replace('rsa-sha2-', 'sha'), signed, key, signature)
    case 'ecdsa-sha2-nistp256':
    case 'ecdsa-sha2-nistp384':
    case 'ecdsa-sha2-nistp521': {
      const [hash, bytes] = ({ 256: ['sha256', 32], 384: ['sha384', 48], 521: ['sha512', 66] } as const)[
        kind.slice(-3) as '256' | '384' | '521'
      ]
      const reader = new Reader(signature)
      // Two numbers as SSH writes them; Node wants both at full length.
      const whole = Buffer.concat([fixed(reader.text(), bytes), fixed(reader.text(), bytes)])
      return key.asymmetricKeyType === 'ec' && verify(hash, signed, { key, dsaEncoding: 'ieee-p1363' }, whole)
    }
    default:
      return refuse('the signature is of a kind that is not accepted')
  }
}

function fixed(number: Buffer, bytes: number): Buffer {
  const plain = number[0] === 0 ? number.subarray(1) : number
  if (plain.length > bytes) refuse('the signature cannot be read')
  return Buffer.concat([Buffer.alloc(bytes - plain.length), plain])
}
