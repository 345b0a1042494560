# Ruby's net-pop: client.rb retr|list|show PORT COUNT [CA]
#
# retr receives the messages 1 to COUNT and drops them; list parses LIST and UIDL, COUNT entries each; show writes
# message 1 to standard output. With CA it is TLS from the first octet.
require 'net/pop'

job, port, count, ca = ARGV
client = Net::POP3.new('localhost', port.to_i)
client.enable_ssl(OpenSSL::SSL::VERIFY_PEER, ca) if ca
client.open_timeout = client.read_timeout = 60
client.start('alice', 'secret') do |session|
  mails = session.mails
  case job
  when 'list'
    session.set_all_uids
    raise 'entries are missing' unless mails.length == count.to_i && mails.all?(&:uidl)
  when 'show'
    $stdout.binmode.write(mails.first.pop)
  else
    mails.first(count.to_i).each(&:pop)
  end
end
