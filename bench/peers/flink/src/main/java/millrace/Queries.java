package millrace;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.apache.flink.api.common.functions.AggregateFunction;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.ListState;
import org.apache.flink.api.common.state.ListStateDescriptor;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.streaming.api.functions.windowing.ProcessWindowFunction;
import org.apache.flink.streaming.api.windowing.assigners.EventTimeSessionWindows;
import org.apache.flink.streaming.api.windowing.assigners.SlidingEventTimeWindows;
import org.apache.flink.streaming.api.windowing.assigners.TumblingEventTimeWindows;
import org.apache.flink.streaming.api.windowing.windows.TimeWindow;
import org.apache.flink.util.Collector;

/**
 * The queries as jobs of the DataStream API. What a query does not need of an event is left
 * behind before it goes to another task.
 */
final class Queries {
  private Queries() {}

  static DataStream<Row> build(String query, DataStream<Events.Event> in) {
    switch (query) {
      case "q0":
        return bids(in);
      case "q1":
        return bids(in).map(r -> new Row(r.a, r.b, r.c * 908, r.d)).returns(Row.class);
      case "q2":
        return bids(in).filter(r -> r.a % 123 == 0).map(r -> new Row(r.a, r.c, 0, 0)).returns(Row.class);
      case "q3":
        return q3(in);
      case "q4":
        return q4(in);
      case "q5":
        return q5(in);
      case "q7":
        return q7(in);
      case "q8":
        return q8(in);
      case "q11":
        return q11(in);
      default:
        throw new IllegalArgumentException("there is no query " + query);
    }
  }

  /** Auction, bidder, price, time. */
  static SingleOutputStreamOperator<Row> bids(DataStream<Events.Event> in) {
    return in.filter(e -> e.kind == Events.BID).map(e -> new Row(e.auction, e.bidder, e.price, e.time)).returns(Row.class);
  }

  /** Person (b = 0, with the name) or auction (b), by the person. */
  static DataStream<Row> q3(DataStream<Events.Event> in) {
    return in.filter(
            e ->
                e.kind == Events.AUCTION && e.category == 10
                    || e.kind == Events.PERSON && (e.state.equals("OR") || e.state.equals("ID") || e.state.equals("CA")))
        .map(e -> e.kind == Events.AUCTION ? new Row(e.seller, e.id, "") : new Row(e.id, 0, e.name + "\t" + e.city + "\t" + e.state))
        .returns(Row.class)
        .keyBy(r -> r.a, Types.LONG)
        .process(
            new KeyedProcessFunction<Long, Row, Row>() {
              private transient ValueState<String> person;
              private transient ListState<Long> waiting;

              @Override
              public void open(OpenContext c) {
                person = getRuntimeContext().getState(new ValueStateDescriptor<>("person", Types.STRING));
                waiting = getRuntimeContext().getListState(new ListStateDescriptor<>("waiting", Types.LONG));
              }

              @Override
              public void processElement(Row r, Context c, Collector<Row> out) throws Exception {
                if (r.b == 0) {
                  person.update(r.name);
                  for (Long auction : waiting.get()) {
                    out.collect(new Row(auction, 0, r.name));
                  }
                  waiting.clear();
                  return;
                }
                String name = person.value();
                if (name == null) {
                  waiting.add(r.b);
                } else {
                  out.collect(new Row(r.b, 0, name));
                }
              }
            })
        .returns(Row.class);
  }

  /** An auction, or a bid for it. */
  public static class Offer {
    public boolean sale;
    public long auction;
    public long price; // of a bid
    public long time; // of a bid; when the auction opens
    public long expires;
    public long category;
    public long most; // of a kept auction

    public Offer() {}

    static Offer of(Events.Event e) {
      Offer o = new Offer();
      o.sale = e.kind == Events.AUCTION;
      o.auction = o.sale ? e.id : e.auction;
      o.price = e.price;
      o.time = e.time;
      o.expires = e.expires;
      o.category = e.category;
      return o;
    }
  }

  static DataStream<Row> q4(DataStream<Events.Event> in) {
    return in.filter(e -> e.kind != Events.PERSON)
        .map(Offer::of)
        .returns(Offer.class)
        .keyBy(o -> o.auction, Types.LONG)
        .process(new Highest())
        .returns(Row.class)
        .keyBy(r -> r.a, Types.LONG)
        .process(new Mean())
        .returns(Row.class);
  }

  /** Category, highest bid before and now. */
  static class Highest extends KeyedProcessFunction<Long, Offer, Row> {
    private transient ValueState<Offer> sale;
    private transient ListState<Offer> waiting;

    @Override
    public void open(OpenContext c) {
      sale = getRuntimeContext().getState(new ValueStateDescriptor<>("sale", Offer.class));
      waiting = getRuntimeContext().getListState(new ListStateDescriptor<>("waiting", Offer.class));
    }

    @Override
    public void processElement(Offer o, Context c, Collector<Row> out) throws Exception {
      Offer s = o.sale ? o : sale.value();
      if (s == null) {
        waiting.add(o);
        return;
      }
      long before = s.most;
      if (o.sale) {
        for (Offer bid : waiting.get()) {
          take(s, bid);
        }
        waiting.clear();
      } else {
        take(s, o);
        if (s.most == before) {
          return;
        }
      }
      sale.update(s);
      if (s.most != before) {
        out.collect(new Row(s.category, before, s.most, 0));
      }
    }

    private static void take(Offer s, Offer bid) {
      if (bid.time >= s.time && bid.time <= s.expires) {
        s.most = Math.max(s.most, bid.price);
      }
    }
  }

  static class Mean extends KeyedProcessFunction<Long, Row, Row> {
    private transient ValueState<Row> mean; // a is the sum, b the count

    @Override
    public void open(OpenContext c) {
      mean = getRuntimeContext().getState(new ValueStateDescriptor<>("mean", Row.class));
    }

    @Override
    public void processElement(Row r, Context c, Collector<Row> out) throws Exception {
      Row m = mean.value();
      if (m == null) {
        m = new Row();
      }
      m.a += r.c - r.b;
      if (r.b == 0) {
        m.b++;
      }
      mean.update(m);
      out.collect(new Row(r.a, m.a / m.b, m.b, 0));
    }
  }

  /** Adds up c. */
  static class Sum implements AggregateFunction<Row, Long, Long> {
    private final boolean count;

    Sum(boolean count) {
      this.count = count;
    }

    @Override
    public Long createAccumulator() {
      return 0L;
    }

    @Override
    public Long add(Row r, Long n) {
      return n + (count ? 1 : r.c);
    }

    @Override
    public Long getResult(Long n) {
      return n;
    }

    @Override
    public Long merge(Long a, Long b) {
      return a + b;
    }
  }

  /** Key, 0, sum and end of the window. */
  static class Pane extends ProcessWindowFunction<Long, Row, Long, TimeWindow> {
    @Override
    public void process(Long key, Context c, Iterable<Long> sums, Collector<Row> out) {
      out.collect(new Row(key, 0, sums.iterator().next(), c.window().getEnd()));
    }
  }

  /** Counts of two seconds, then sums of five of them: as slices, a bid is added once. */
  static DataStream<Row> q5(DataStream<Events.Event> in) {
    return bids(in)
        .keyBy(r -> r.a, Types.LONG)
        .window(TumblingEventTimeWindows.of(Duration.ofSeconds(2)))
        .aggregate(new Sum(true), new Pane(), Types.LONG, Types.LONG, Types.POJO(Row.class))
        .keyBy(r -> r.a, Types.LONG)
        .window(SlidingEventTimeWindows.of(Duration.ofSeconds(10), Duration.ofSeconds(2)))
        .aggregate(new Sum(false), new Pane(), Types.LONG, Types.LONG, Types.POJO(Row.class))
        .keyBy(r -> r.d, Types.LONG)
        .process(new Winners(true))
        .returns(Row.class);
  }

  /** Keeps the rows with the greatest c of a window that ends at d, and gives them out behind it. */
  static class Winners extends KeyedProcessFunction<Long, Row, Row> {
    private final boolean counts;
    private transient ValueState<Long> most;
    private transient ListState<Row> rows;

    Winners(boolean counts) {
      this.counts = counts;
    }

    @Override
    public void open(OpenContext c) {
      most = getRuntimeContext().getState(new ValueStateDescriptor<>("most", Types.LONG));
      rows = getRuntimeContext().getListState(new ListStateDescriptor<>("rows", Types.POJO(Row.class)));
    }

    @Override
    public void processElement(Row r, Context c, Collector<Row> out) throws Exception {
      Long m = most.value();
      if (m == null) {
        c.timerService().registerEventTimeTimer(r.d);
      }
      if (m == null || r.c > m) {
        most.update(r.c);
        List<Row> one = new ArrayList<>();
        one.add(r);
        rows.update(one);
      } else if (r.c == m) {
        rows.add(r);
      }
    }

    @Override
    public void onTimer(long at, OnTimerContext c, Collector<Row> out) throws Exception {
      for (Row r : rows.get()) {
        // Of q5 auction, count, begin and end; of q7 auction, bidder, price, time, which name holds.
        out.collect(counts ? new Row(r.a, r.c, r.d - 10_000, r.d) : new Row(r.a, r.b, r.c, Long.parseLong(r.name)));
      }
      most.clear();
      rows.clear();
    }
  }

  /** The highest bids of sixteen parts, then of all: no task gets every bid. */
  static DataStream<Row> q7(DataStream<Events.Event> in) {
    return bids(in)
        .keyBy(r -> r.a % 16, Types.LONG)
        .window(TumblingEventTimeWindows.of(Duration.ofSeconds(10)))
        .aggregate(new Best(), new Bests(), Types.LIST(Types.POJO(Row.class)), Types.LIST(Types.POJO(Row.class)), Types.POJO(Row.class))
        .keyBy(r -> r.d, Types.LONG)
        .process(new Winners(false))
        .returns(Row.class);
  }

  static class Best implements AggregateFunction<Row, List<Row>, List<Row>> {
    @Override
    public List<Row> createAccumulator() {
      return new ArrayList<>();
    }

    @Override
    public List<Row> add(Row r, List<Row> best) {
      if (best.isEmpty() || r.c > best.get(0).c) {
        best.clear();
        best.add(r);
      } else if (r.c == best.get(0).c) {
        best.add(r);
      }
      return best;
    }

    @Override
    public List<Row> getResult(List<Row> best) {
      return best;
    }

    @Override
    public List<Row> merge(List<Row> x, List<Row> y) {
      for (Row r : y) {
        add(r, x);
      }
      return x;
    }
  }

  static class Bests extends ProcessWindowFunction<List<Row>, Row, Long, TimeWindow> {
    @Override
    public void process(Long key, Context c, Iterable<List<Row>> best, Collector<Row> out) {
      for (Row r : best.iterator().next()) {
        Row w = new Row(r.a, r.b, Long.toString(r.d));
        w.c = r.c;
        w.d = c.window().getEnd();
        out.collect(w);
      }
    }
  }

  /** Who registered and sold in the same ten seconds: b is 1 for a sale. */
  static DataStream<Row> q8(DataStream<Events.Event> in) {
    return in.filter(e -> e.kind != Events.BID)
        .map(e -> e.kind == Events.AUCTION ? new Row(e.seller, 1, "") : new Row(e.id, 0, e.name))
        .returns(Row.class)
        .keyBy(r -> r.a, Types.LONG)
        .window(TumblingEventTimeWindows.of(Duration.ofSeconds(10)))
        .aggregate(new Both(), new BothPane(), Types.POJO(Row.class), Types.POJO(Row.class), Types.POJO(Row.class))
        .returns(Row.class);
  }

  /** b counts sales, c registrations. */
  static class Both implements AggregateFunction<Row, Row, Row> {
    @Override
    public Row createAccumulator() {
      return new Row();
    }

    @Override
    public Row add(Row r, Row both) {
      both.b += r.b;
      if (r.b == 0) {
        both.c++;
        both.name = r.name;
      }
      return both;
    }

    @Override
    public Row getResult(Row both) {
      return both;
    }

    @Override
    public Row merge(Row x, Row y) {
      x.b += y.b;
      x.c += y.c;
      if (y.c > 0) {
        x.name = y.name;
      }
      return x;
    }
  }

  static class BothPane extends ProcessWindowFunction<Row, Row, Long, TimeWindow> {
    @Override
    public void process(Long key, Context c, Iterable<Row> panes, Collector<Row> out) {
      Row both = panes.iterator().next();
      if (both.b > 0 && both.c > 0) {
        out.collect(new Row(key, c.window().getStart(), both.name));
      }
    }
  }

  /**
   * Sessions with a gap of ten seconds. Flink's windows that touch are one, ours are not: so the
   * gap is a millisecond shorter.
   */
  static DataStream<Row> q11(DataStream<Events.Event> in) {
    return bids(in)
        .keyBy(r -> r.b, Types.LONG)
        .window(EventTimeSessionWindows.withGap(Duration.ofMillis(9_999)))
        .aggregate(
            new Sum(true),
            new ProcessWindowFunction<Long, Row, Long, TimeWindow>() {
              @Override
              public void process(Long key, Context c, Iterable<Long> n, Collector<Row> out) {
                out.collect(new Row(key, n.iterator().next(), c.window().getStart(), c.window().getEnd() + 1));
              }
            },
            Types.LONG,
            Types.LONG,
            Types.POJO(Row.class));
  }
}
