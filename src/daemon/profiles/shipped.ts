/**
 * The shipped profiles: data alone. They follow the programs' own documentation. An agent that nobody watches cannot be asked, so
 * each is started the way its program calls unattended; a config file can change any of it.
 */
import type { ProfileSettings } from "../../contract/profile.ts";

/** What nearly every program needs to run as its user. */
const BASICS = ["PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "SHELL", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"];

export const SHIPPED_PROFILES: Record<string, ProfileSettings & { command: string }> = {
  claude: {
    description: "Claude Code, without asking for permissions",
    command: "claude",
    args: ["--print", "--output-format", "stream-json", "--verbose", "--dangerously-skip-permissions"],
    prompt: "stdin",
    // It takes several files, up to the next option: what follows are the options above. Its user's other servers stay (--strict-mcp-config would leave them out).
    mcp_args: ["--mcp-config", "{mcp_config}"],
    resume_args: ["--resume", "{session}"],
    pass_env: [...BASICS, "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL", "CLAUDE_CODE_OAUTH_TOKEN"],
    stdout: "pipe",
    result_event: {
      completed: [{ type: "result", subtype: "success" }],
      failed: [
        { type: "result", is_error: true },
        { type: "result", subtype: ["error_max_turns", "error_during_execution", "error_max_budget_usd"] },
      ],
    },
    install: "npm install -g @anthropic-ai/claude-code",
  },
  codex: {
    description: "Codex, writing in its directory only",
    command: "codex",
    args: ["exec", "--json", "--sandbox", "workspace-write", "--skip-git-repo-check"],
    prompt: "stdin",
    prompt_args: ["-"],
    resume_args: ["resume", "{session}"],
    pass_env: [...BASICS, "CODEX_HOME", "CODEX_API_KEY", "OPENAI_API_KEY", "OPENAI_BASE_URL"],
    stdout: "pipe",
    result_event: { completed: [{ type: "turn.completed" }], failed: [{ type: "turn.failed" }] },
    install: "npm install -g @openai/codex",
  },
  gemini: {
    description: "Gemini CLI, approving all of its tools",
    command: "gemini",
    args: ["--output-format", "stream-json", "--approval-mode", "yolo"],
    prompt: "stdin",
    resume_args: ["--resume", "{session}"],
    pass_env: [...BASICS, "GEMINI_API_KEY", "GOOGLE_API_KEY", "GOOGLE_CLOUD_PROJECT", "GOOGLE_GENAI_USE_VERTEXAI"],
    stdout: "pipe",
    result_event: {
      completed: [{ type: "result", status: "success" }],
      failed: [{ type: "result", status: "error" }],
    },
    install: "npm install -g @google/gemini-cli",
  },
  aider: {
    description: "aider, saying yes to what it asks",
    command: "aider",
    args: ["--yes-always", "--no-pretty", "--no-check-update"],
    prompt: "file",
    prompt_args: ["--message-file", "{prompt_file}"],
    pass_env: [
      ...BASICS,
      "OPENAI_API_KEY",
      "ANTHROPIC_API_KEY",
      "GEMINI_API_KEY",
      "OPENROUTER_API_KEY",
      "DEEPSEEK_API_KEY",
    ],
    install: "python -m pip install aider-install, then aider-install",
  },
  opencode: {
    description: "opencode, with the permissions of its own config",
    command: "opencode",
    args: ["run", "--format", "json"],
    prompt: "stdin",
    resume_args: ["--session", "{session}"],
    pass_env: [
      ...BASICS,
      "OPENCODE_CONFIG",
      "OPENCODE_API_KEY",
      "OPENAI_API_KEY",
      "ANTHROPIC_API_KEY",
      "OPENROUTER_API_KEY",
    ],
    stdout: "pipe",
    result_event: {
      completed: [{ type: "step_finish", "part.reason": "stop" }],
      failed: [{ type: "error" }, { type: "step_finish", "part.reason": ["length", "content-filter", "error"] }],
    },
    install: "npm install -g opencode-ai",
  },
  shell: {
    description: "the prompt as a shell script",
    command: "sh",
    prompt: "file",
    prompt_args: ["{prompt_file}"],
    pass_env: BASICS,
  },
};
