/** A line to a server that can be cut or held, as a network or a machine would. */
import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'

/**
 * `pass`; `refuse`: nothing listens, and a socket's file is gone; `freeze`: connections stand and nothing comes through;
 * `stall`: the same of those that are open, and new ones pass; `babble`: no word of it is right; `fail`: every request of
 * HTTP is answered with the code 500.
 */
export type Line = 'pass' | 'refuse' | 'freeze' | 'stall' | 'babble' | 'fail'

/** A port of 127.0.0.1, or the path of a Unix socket. */
type Place = number | string

const at = (place: Place) => (typeof place === 'number' ? { port: place, host: '127.0.0.1' } : { path: place })

export class TcpProxy<Listens extends Place = number> {
  /** Where it listens: the path of a socket, where it was started with one. */
  readonly port: Listens
  /** Connections that came so far. */
  taken = 0
  /** What a server that fails says of it. */
  complaint = 'something went wrong'
  #target: Place
  readonly #open = new Set<Socket>()
  #server: Server | undefined
  #line: Line = 'pass'

  private constructor(port: Listens, target: Place) {
    this.port = port
    this.#target = target
  }

  static async start<Listens extends Place>(port: Listens, target: Place): Promise<TcpProxy<Listens>> {
    const proxy = new TcpProxy(port, target)
    await proxy.#listen()
    return proxy
  }

  /** Sockets of both sides that are open. */
  get open(): number {
    return this.#open.size
  }

  /** What is open breaks, unless it is to be held. */
  async set(line: Line): Promise<void> {
    this.#line = line
    if (line === 'freeze' || line === 'stall') for (const socket of this.#open) socket.pause()
    else this.#drop()
    if (line === 'refuse') await this.stop()
    else if (this.#server === undefined) await this.#listen()
  }

  /** To another server from now on; what is open breaks. */
  async lead(target: Place): Promise<void> {
    this.#target = target
    await this.set('pass')
  }

  async stop(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    this.#drop()
    if (server === undefined) return
    server.close()
    await once(server, 'close')
  }

  #drop(): void {
    for (const socket of this.#open) socket.destroy()
  }

  async #listen(): Promise<void> {
    const server = createServer((socket) => this.#take(socket))
    this.#server = server
    server.listen(at(this.port))
    await once(server, 'listening')
  }

  #take(socket: Socket): void {
    this.taken++
    this.#keep(socket)
    if (this.#line === 'freeze') return void socket.pause()
    if (this.#line === 'babble') return void socket.end('this is no server that you know\n')
    if (this.#line === 'fail') return this.#fail(socket)
    const onward = connect(at(this.#target))
    this.#keep(onward)
    socket.pipe(onward)
    onward.pipe(socket)
    socket.on('close', () => onward.destroy())
    onward.on('close', () => socket.destroy())
  }

  /** One answer a connection, once the head of a request has come; what is sent after it is read, so that none breaks. */
  #fail(socket: Socket): void {
    const body = JSON.stringify({ message: this.complaint })
    const head = ['HTTP/1.1 500 Internal Server Error', 'Content-Type: application/json', 'Connection: close']
    socket.once('data', () =>
      socket.end([...head, `Content-Length: ${String(Buffer.byteLength(body))}`, '', body].join('\r\n')),
    )
    socket.resume()
  }

  #keep(socket: Socket): void {
    this.#open.add(socket)
    socket.on('error', () => undefined).on('close', () => this.#open.delete(socket))
  }
}
