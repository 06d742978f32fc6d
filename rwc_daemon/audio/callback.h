/* What one JACK client of ours keeps between cycles. Python allocates it, locks it and frees it; the callback only
   copies and counts. */
#ifndef RWC_CALLBACK_H
#define RWC_CALLBACK_H

#include "../link/ring.h"

#define RWC_HISTORY 4096 /* a power of two above the longest fade: 5 ms at 384 kHz are 1920 samples */
#define RWC_LONGEST_CYCLE 8192 /* PipeWire's clock.quantum-limit, and JACK2's largest period */
#define RWC_FADES_PER_SECOND 200 /* a fade is 5 ms */

enum { RWC_RATE = 1, RWC_QUANTUM = 2, RWC_SHUTDOWN = 4, RWC_LATENCY = 8 };
enum { RWC_SILENT, RWC_PLAYING, RWC_ENDING };

/* When cycles came, for "missed" and "late". */
typedef struct {
  uint64_t started_ns;
  uint32_t frames, quantum;
} rwc_clock;

typedef struct {
  rwc_link *link;
  int wake_fd, notify_fd;
  int defer_latency; /* set ranges outside of the latency callback */
  void *client, *input, *output;
  void *meter;               /* a port for the microphone's other channel, of which only the peak is kept */
  _Atomic uint32_t rate;     /* samples/s */
  _Atomic float input_gain;  /* two links into one port are summed: a half undoes it */
  _Atomic uint32_t delay;    /* samples between the ports, for latency ranges */
  _Atomic uint32_t events;   /* RWC_RATE …, for a thread that waits on notify_fd */
  _Atomic int32_t thread;    /* kernel id of the process thread; 0: not yet */
  _Atomic uint32_t leaving;  /* 1: fade out and stay silent, the client is about to be closed */
  _Atomic uint32_t silent;   /* 1: nothing of ours was in the last cycle */
  rwc_clock clock;

  int phase;        /* RWC_SILENT … */
  uint32_t mode;    /* as adopted from the link */
  uint64_t playout; /* likewise */
  uint32_t gain;    /* 0 … fade: how far faded in */
  uint32_t mirrored;/* samples played from history since the source ran out */
  uint64_t played;  /* samples ever put into history */
  uint64_t spoken;  /* index behind the last voice sample that was played */
  float history[RWC_HISTORY];
  float scaled[RWC_LONGEST_CYCLE];
} rwc_state;

/* Plays one signal and records another, sample for sample. Two clients: one that did both would close a ring through
   RWC Mic, and PipeWire's graph stands still in a ring. The graph's own clock holds them together. */
typedef struct {
  void *player, *recorder, *input, *output;
  const float *play;
  float *record;
  rwc_count length; /* 0 while nothing is to be played */
  rwc_count begun;  /* 1 once `start` holds */
  rwc_count at;     /* samples recorded */
  _Atomic uint32_t start; /* frame time of the first sample */
} rwc_probe;

void rwc_adopt(rwc_state *state);
void rwc_run_cycle(rwc_state *state, const float *in, float *out, uint32_t n);
void rwc_count_cycle(rwc_state *state, uint32_t frames, uint32_t n, uint64_t started_ns);
void rwc_count_body(rwc_link *link, uint64_t ns);

#endif
