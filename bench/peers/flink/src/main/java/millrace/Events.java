package millrace;

import java.util.SplittableRandom;

/** The events of Nexmark as bench/nexmark makes them, to the bit: any can be made alone. */
public final class Events {
  public static final long START = 1436918400000L;
  public static final int PERSON = 0;
  public static final int AUCTION = 1;
  public static final int BID = 2;

  private static final String[] FIRST = {
    "Peter", "Paul", "Luke", "John", "Saul", "Vicky", "Kate", "Julie", "Sarah", "Deiter", "Walter"
  };
  private static final String[] LAST = {
    "Shultz", "Abrams", "Spencer", "White", "Bartels", "Walton", "Smith", "Jones", "Noris"
  };
  private static final String[] CITIES = {
    "Phoenix", "Los Angeles", "San Francisco", "Boise", "Portland", "Bend", "Redmond", "Seattle", "Kent", "Cheyenne"
  };
  private static final String[] STATES = {"AZ", "CA", "ID", "OR", "WA", "WY"};
  private static final String[] HOT = {"Google", "Facebook", "Baidu", "Apple"};

  /** An event. What does not belong to its kind is not set. */
  public static class Event {
    public int kind;
    public long id; // of a person or an auction
    public long time;
    public String name; // of a person; the item of an auction; the channel of a bid
    public String text; // e-mail, description, url
    public String card;
    public String city;
    public String state;
    public String extra;
    public long initial;
    public long reserve;
    public long expires;
    public long seller;
    public long category;
    public long auction;
    public long bidder;
    public long price;
  }

  private final long base;
  private final long micros;
  private final String[] hotUrls = new String[4];
  private final String[] urls = new String[10_000];
  private final String[] channels = new String[10_000];
  private final String pool;

  public Events(long seed, long micros) {
    this.micros = micros;
    base = new SplittableRandom(seed).nextLong();
    SplittableRandom r = new SplittableRandom(base - 1);
    for (int i = 0; i < 4; i++) {
      hotUrls[i] = url(r);
    }
    for (int i = 0; i < 10_000; i++) {
      urls[i] = url(r);
      if (r.nextInt(10) > 0) {
        urls[i] += "&channel_id=" + Math.abs((long) Integer.reverse(i));
      }
      channels[i] = "channel-" + i;
    }
    StringBuilder b = new StringBuilder(1 << 20);
    for (int i = 0; i < 1 << 20; i++) {
      b.append((char) ('a' + r.nextInt(26)));
    }
    pool = b.toString();
  }

  private static String url(SplittableRandom r) {
    return "https://www.nexmark.com/" + text(r, 5, '_') + "/" + text(r, 5, '_') + "/" + text(r, 5, '_') + "/item.htm?query=1";
  }

  private static String text(SplittableRandom r, int most, char blank) {
    StringBuilder b = new StringBuilder();
    for (int n = 3 + r.nextInt(most - 3); n > 0; n--) {
      b.append(r.nextInt(13) == 0 ? blank : (char) ('a' + r.nextInt(26)));
    }
    return b.toString().trim();
  }

  private static long price(SplittableRandom r) {
    return (long) Math.floor(Math.pow(10, r.nextDouble() * 6) * 100 + 0.5);
  }

  private String extra(SplittableRandom r, int now, int size) {
    if (now > size) {
      return "";
    }
    int want = size - now;
    int d = (int) Math.floor(0.2 * want + 0.5);
    int length = want - d;
    if (d > 0) {
      length += r.nextInt(2 * d);
    }
    int at = r.nextInt((1 << 20) - length);
    return pool.substring(at, at + length);
  }

  public long timeOf(long n) {
    return START + n * micros / 1000;
  }

  private static long lastAuction(long e) {
    long epoch = e / 50;
    long o = e % 50;
    if (o == 0) {
      return 3 * (epoch - 1) + 2;
    }
    return 3 * epoch + (o <= 3 ? o - 1 : 2);
  }

  private static long anyPerson(SplittableRandom r, long last) {
    long p = last + 1;
    long a = Math.min(p, 1000);
    return p - a + r.nextInt((int) a + 10);
  }

  private static long anyAuction(SplittableRandom r, long last) {
    long lo = Math.max(last - 100, 0);
    return lo + r.nextInt((int) (last - lo + 11));
  }

  /** Makes event number e, from 0. */
  public Event event(long e) {
    SplittableRandom r = new SplittableRandom(base + e);
    long o = e % 50;
    Event v = new Event();
    v.time = timeOf(e);
    if (o == 0) {
      person(v, r, e / 50);
    } else if (o <= 3) {
      auction(v, r, e);
    } else {
      bid(v, r, e);
    }
    return v;
  }

  private void person(Event p, SplittableRandom r, long id) {
    p.kind = PERSON;
    p.id = 1000 + id;
    p.name = FIRST[r.nextInt(FIRST.length)];
    p.name += " " + LAST[r.nextInt(LAST.length)];
    p.text = text(r, 7, ' ') + "@";
    p.text += text(r, 5, ' ') + ".com";
    StringBuilder card = new StringBuilder();
    for (int i = 0; i < 4; i++) {
      String four = Integer.toString(10_000 + r.nextInt(10_000)).substring(1);
      card.append(i > 0 ? " " : "").append(four);
    }
    p.card = card.toString();
    p.city = CITIES[r.nextInt(CITIES.length)];
    p.state = STATES[r.nextInt(STATES.length)];
    p.extra = extra(r, 8 + p.name.length() + p.text.length() + p.card.length() + p.city.length() + p.state.length(), 200);
  }

  private void auction(Event a, SplittableRandom r, long e) {
    long people = e / 50;
    a.kind = AUCTION;
    a.id = 1000 + lastAuction(e);
    a.seller = 1000 + (r.nextInt(4) > 0 ? people / 100 * 100 : anyPerson(r, people));
    a.category = 10 + r.nextInt(5);
    a.initial = price(r);
    long horizon = timeOf(e + 100 * 50 / 3) - a.time;
    a.expires = a.time + 1 + r.nextInt((int) Math.max(2 * horizon, 1));
    a.name = text(r, 20, ' ');
    a.text = text(r, 100, ' ');
    a.reserve = a.initial + price(r);
    a.extra = extra(r, 8 + a.name.length() + a.text.length() + 40, 500);
  }

  private void bid(Event b, SplittableRandom r, long e) {
    long people = e / 50;
    long auctions = lastAuction(e);
    b.kind = BID;
    b.auction = 1000 + (r.nextInt(2) > 0 ? auctions / 100 * 100 : anyAuction(r, auctions));
    b.bidder = 1000 + (r.nextInt(4) > 0 ? people / 100 * 100 + 1 : anyPerson(r, people));
    b.price = price(r);
    if (r.nextInt(2) > 0) {
      int n = r.nextInt(HOT.length);
      b.name = HOT[n];
      b.text = hotUrls[n];
    } else {
      int n = r.nextInt(10_000);
      b.name = channels[n];
      b.text = urls[n];
    }
    b.extra = extra(r, 32, 100);
  }
}
