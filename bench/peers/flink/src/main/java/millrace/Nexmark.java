package millrace;

import com.sun.management.OperatingSystemMXBean;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.LongAdder;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.MapFunction;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.connector.datagen.source.DataGeneratorSource;
import org.apache.flink.connector.datagen.source.GeneratorFunction;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.sink.v2.DiscardingSink;

/**
 * Runs one query over a bounded input: QUERY EVENTS MICROS BACKEND DIR. Prints one object: what
 * the events between 30 % and 95 % of the input cost, when everything is compiled and warm and
 * before the end flushes windows, and rows and hash of the whole answer.
 */
public final class Nexmark {
  private static final OperatingSystemMXBean OS = (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
  static final AtomicLong MADE = new AtomicLong();
  static final LongAdder ROWS = new LongAdder();
  static final LongAdder HASH = new LongAdder();
  static final ConcurrentHashMap<Long, Long> LAST = new ConcurrentHashMap<>(); // of q4: the hash of the last row
  static volatile long[] begin;
  static volatile long[] end;

  private Nexmark() {}

  /** Makes events, and notes when the measured part begins and ends. */
  public static class Make implements GeneratorFunction<Long, Events.Event> {
    private static final int STEP = 1000;
    private final long events;
    private final long micros;
    private transient Events from;
    private transient int since;

    Make(long events, long micros) {
      this.events = events;
      this.micros = micros;
    }

    @Override
    public Events.Event map(Long i) {
      if (from == null) {
        from = new Events(1, micros);
      }
      if (++since == STEP) {
        since = 0;
        mark(MADE.addAndGet(STEP), events);
      }
      // The source gives each of two tasks half of the numbers; the events go to them in turn.
      long half = events / 2;
      return from.event(i < half ? 2 * i : 2 * (i - half) + 1);
    }
  }

  static synchronized void mark(long made, long events) {
    if (begin == null && made >= events * 30 / 100) {
      begin = new long[] {made, System.nanoTime(), OS.getProcessCpuTime()};
    }
    if (end == null && made >= events * 95 / 100) {
      end = new long[] {made, System.nanoTime(), OS.getProcessCpuTime()};
    }
  }

  /** Counts and hashes rows as bench/nexmark does. */
  public static class Count implements MapFunction<Row, Row> {
    private final boolean updates;

    Count(boolean updates) {
      this.updates = updates;
    }

    @Override
    public Row map(Row r) {
      long h = r.name.length();
      for (long v : new long[] {r.a, r.b, r.c, r.d}) {
        h = (h ^ v) * 0xbf58476d1ce4e5b9L;
        h ^= h >>> 29;
      }
      for (int i = 0; i < r.name.length(); i++) {
        h = (h ^ r.name.charAt(i)) * 1099511628211L;
      }
      ROWS.increment();
      if (updates) {
        LAST.put(r.a, h);
      } else {
        HASH.add(h);
      }
      return r;
    }
  }

  public static void main(String[] args) throws Exception {
    String query = args[0];
    long events = Long.parseLong(args[1]) / 2000 * 2000; // both tasks make as many
    long micros = Long.parseLong(args[2]);
    StreamExecutionEnvironment env = environment(args[3], Path.of(args[4]));
    DataGeneratorSource<Events.Event> source =
        new DataGeneratorSource<>(new Make(events, micros), events, TypeInformation.of(Events.Event.class));
    DataStream<Events.Event> in =
        env.fromSource(
            source, WatermarkStrategy.<Events.Event>forMonotonousTimestamps().withTimestampAssigner((e, t) -> e.time), "events");
    Queries.build(query, in)
        .map(new Count(query.equals("q4")))
        .returns(Row.class)
        .sinkTo(new DiscardingSink<>());
    env.execute(query);
    long rows = ROWS.sum();
    long hash = HASH.sum();
    if (query.equals("q4")) {
      rows = LAST.size();
      hash = LAST.values().stream().mapToLong(Long::longValue).sum();
    }
    double n = end[0] - begin[0];
    double wall = (end[1] - begin[1]) / 1e9;
    double cpu = (end[2] - begin[2]) / 1e9;
    System.out.printf(
        "{\"query\":\"%s\",\"events\":%d,\"backend\":\"%s\",\"cpu_s_per_million\":%.3f,\"events_per_core_second\":%.0f,"
            + "\"events_per_second\":%.0f,\"rows\":%d,\"hash\":\"%s\",\"rss_mb\":%.0f}%n",
        query, events, args[3], cpu / n * 1e6, n / cpu, n / wall, rows, Long.toUnsignedString(hash), peak());
    System.exit(0);
  }

  static StreamExecutionEnvironment environment(String backend, Path dir) {
    Configuration c = new Configuration();
    c.setString("execution.checkpointing.interval", "1 s");
    c.setString("execution.checkpointing.mode", "EXACTLY_ONCE");
    c.setString("execution.checkpointing.storage", "filesystem");
    c.setString("execution.checkpointing.dir", dir.toUri().toString());
    c.setString("execution.checkpointing.incremental", "true");
    c.setString("state.backend.type", backend);
    c.setString("taskmanager.memory.managed.size", "512m");
    c.setString("pipeline.object-reuse", "true");
    c.setString("pipeline.generic-types", "false");
    c.setString("pipeline.auto-watermark-interval", "200 ms");
    c.setString("restart-strategy.type", "none");
    return StreamExecutionEnvironment.createLocalEnvironment(2, c);
  }

  /** The greatest resident memory, in MiB. */
  static double peak() throws Exception {
    for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
      if (line.startsWith("VmHWM:")) {
        return Double.parseDouble(line.replaceAll("[^0-9]", "")) / 1024;
      }
    }
    return 0;
  }
}
