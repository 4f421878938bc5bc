/**
 * Takes out of a view what makes a terminal answer. tmux answers a query that is printed in a pane by typing into that pane, and what is typed
 * there reaches the agent: bytes that nobody typed. An interactive agent in its living pane wants them. A headless one does not: its output
 * may be a file it quotes; nor does any agent when the end of its log is shown again in a new pane.
 *
 * What passes is named, not what does not: the next tmux may answer more. tmux 3.3a was seen to answer DA1, DA2, DSR 5 and 6, XTVERSION and window
 * size reports (`CSI c`, `CSI > c`, `CSI 5 n`, `CSI 6 n`, `CSI > q`, `CSI 18 t`). Pure: chunks in, chunks out; only for the view, never for the log.
 */
import type { ViewFilter } from "./pane.ts";

const ESC = 0x1b;
const BEL = 0x07;
const CAN = 0x18;
const SUB = 0x1a;
/** ENQ asks for the answerback text on terminals that have one. */
const ENQ = 0x05;

/** Control sequences that draw, move, erase, scroll or colour, and set or reset tabs and ANSI modes. */
const DRAWS = /^[\d;:]*[@A-MPSTXZ`abdefghlmrsu]$/;
/** Private modes, selective erase; soft reset; the cursor's shape. */
const DRAWS_TOO = /^(\?[\d;]*[hlJK]|!p|\d* q)$/;
/** Modes in which a terminal speaks unasked: focus, colour scheme and size reports. */
const REPORTING_MODES = ["1004", "2031", "2048"];
/** Commands of the operating system kind: titles, directory, link, prompt marks, and colours set back. All others can be questions. */
const HARMLESS_COMMANDS = /^(0|1|2|7|8|104|110|111|112|133)$/;
/** tmux takes 64 bytes of parameters and 4 of intermediates, and ignores a longer sequence; so is it here. */
const LONGEST_SEQUENCE = 96;

type State =
  | { in: "text" }
  /** After ESC, with what came since. */
  | { in: "escape"; kept: number[] }
  | { in: "sequence"; kept: number[] }
  /** The number of an OSC is still being read: it decides. */
  | { in: "command"; kept: number[] }
  /** Until BEL or ESC \. */
  | { in: "string"; shown: boolean };

export class PlainView implements ViewFilter {
  private state: State = { in: "text" };

  /** After a gap: whoever skips has the terminal drop what it has of a sequence, too. */
  skip(): void {
    this.state = { in: "text" };
  }

  /** What may be shown of the next chunk. A sequence whose end has not come yet waits for the next. */
  pass(chunk: Buffer): Buffer {
    if (this.state.in === "text" && !chunk.includes(ESC) && !chunk.includes(ENQ)) return chunk;
    // Every byte is kept, dropped, or was kept back from chunks before.
    const out: number[] = [];
    for (let at = 0; at < chunk.length; at++) this.take(chunk[at] as number, out);
    return Buffer.from(out);
  }

  private take(byte: number, out: number[]): void {
    const { state } = this;
    // It ends whatever there is; the backslash that may follow a string is a sequence of its own, which means nothing without one.
    if (byte === ESC) this.state = { in: "escape", kept: [] };
    else if (state.in === "string") this.take_in_string(state, byte, out);
    else if (state.in !== "text" && (byte === CAN || byte === SUB)) this.state = { in: "text" };
    else if (state.in === "command") this.take_in_command(state, byte, out);
    // A terminal obeys a control character within a sequence at once, and goes on with the sequence.
    else if (state.in === "text" || byte < 0x20) {
      if (byte !== ENQ) out.push(byte);
    } else {
      if (state.kept.length < LONGEST_SEQUENCE) state.kept.push(byte);
      if (state.in === "escape") this.take_after_escape(state.kept, byte, out);
      else if (byte >= 0x40 && byte <= 0x7e) this.end_sequence(state.kept, out);
    }
  }

  private take_after_escape(kept: number[], byte: number, out: number[]): void {
    const first = kept.length === 1 ? String.fromCharCode(byte) : "";
    if (first === "[") this.state = { in: "sequence", kept: [] };
    else if (first === "]") this.state = { in: "command", kept: [] };
    // DCS, APC, PM, SOS, and the title of screen(1).
    else if (first !== "" && "P_^Xk".includes(first)) this.state = { in: "string", shown: false };
    // Intermediates: a character set's name follows.
    else if (byte >= 0x20 && byte <= 0x2f) return;
    else {
      this.state = { in: "text" };
      // ESC Z asks who the terminal is.
      if (first !== "Z") out.push(ESC, ...kept);
    }
  }

  private end_sequence(kept: number[], out: number[]): void {
    this.state = { in: "text" };
    const text = String.fromCharCode(...kept);
    const passes = DRAWS.test(text) || (DRAWS_TOO.test(text) && !reports(text));
    if (passes && kept.length < LONGEST_SEQUENCE) out.push(ESC, 0x5b, ...kept);
  }

  private take_in_command(state: { kept: number[] }, byte: number, out: number[]): void {
    const is_digit = byte >= 0x30 && byte <= 0x39;
    if (is_digit && state.kept.length < LONGEST_SEQUENCE) {
      state.kept.push(byte);
      return;
    }
    const shown = byte === 0x3b && HARMLESS_COMMANDS.test(String.fromCharCode(...state.kept));
    if (shown) out.push(ESC, 0x5d, ...state.kept, byte);
    this.state = byte === BEL ? { in: "text" } : { in: "string", shown };
  }

  private take_in_string({ shown }: { shown: boolean }, byte: number, out: number[]): void {
    // Another stream of the agent may have ended the string for the terminal meanwhile.
    if (shown && byte !== ENQ) out.push(byte);
    if (byte === BEL || byte === CAN || byte === SUB) this.state = { in: "text" };
  }
}

const reports = (sequence: string) => REPORTING_MODES.some((mode) => sequence.slice(1, -1).split(";").includes(mode));

/** For what may make the pane answer. */
export const as_it_is = (): ViewFilter => ({ pass: (chunk) => chunk, skip: () => {} });
